"""Capacity control: T separate networks that together have one backbone's parameters, so that fewer parameters are not
taken for better sharing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from baselines.capacity import nearest_width, parameters
from mtlbench.backbones import Build
from mtlbench.method import Artefact, Method
from mtlbench.tasks import Task


class SingleTaskNarrow(Method):
    """T networks, narrowed until their backbones together are nearest to one backbone of the study's width."""

    name = "single-task-narrow"

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        own, count = build.architecture.width, len(tasks)
        size = partial(parameters, build)
        self.width = nearest_width(size, size(own) / count, own / count, own)
        self.ratio = count * size(self.width) / size(own)
        backbones = {t.name: build.backbone(width=self.width) for t in tasks}
        self.backbones = nn.ModuleDict(backbones)
        self.heads = nn.ModuleDict({t.name: build.head(t, backbones[t.name].channels[-1]) for t in tasks})

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        return {t: self.heads[t](self.backbones[t](x)) for t in tasks}

    def artefacts(self) -> Sequence[Artefact]:
        return (Artefact("capacity", {"width": self.width, "backbone_parameters_ratio": self.ratio}),)
