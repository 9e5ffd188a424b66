"""Hard parameter sharing (Caruana 1997): one backbone, one head a task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mtlbench.backbones import Build
from mtlbench.method import Method
from mtlbench.tasks import Task


class HardSharing(Method):
    """Every task reads the features of one shared backbone."""

    name = "hard-sharing"
    anchor = "shared"

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        self.backbone = build.backbone()
        self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        features = self.backbone(x)
        return {t: self.heads[t](features) for t in tasks}
