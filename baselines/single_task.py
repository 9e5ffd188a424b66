"""Task-specific networks: one backbone and one head a task, nothing shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from mtlbench.backbones import Build
from mtlbench.method import Method
from mtlbench.tasks import Task


class SingleTask(Method):
    """T networks side by side; all of them start from the same backbone weights, as hard sharing's does."""

    name = "single-task"
    anchor: ClassVar[Literal["independent", "shared"] | None] = "independent"

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        backbones = {t.name: build.backbone() for t in tasks}
        self.backbones = nn.ModuleDict(backbones)
        self.heads = nn.ModuleDict({t.name: build.head(t, backbones[t.name].channels[-1]) for t in tasks})

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        return {t: self.heads[t](self.backbones[t](x)) for t in tasks}
