"""Capacity control: hard sharing with a backbone as costly as T of them, so that more compute is not taken for better
sharing."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from baselines.capacity import macs, nearest_width
from mtlbench.backbones import Build
from mtlbench.method import Artefact, Method
from mtlbench.tasks import Task


class HardSharingWide(Method):
    """One shared backbone, widened until its multiply-adds are nearest to those of T backbones of the study's width."""

    name = "hard-sharing-wide"

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        own, count = build.architecture.width, len(tasks)
        size = partial(macs, build)
        self.width = nearest_width(size, count * size(own), own, own * count)
        self.ratio = size(self.width) / size(own)
        self.backbone = build.backbone(width=self.width)
        self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        features = self.backbone(x)
        return {t: self.heads[t](features) for t in tasks}

    def artefacts(self) -> Sequence[Artefact]:
        return (Artefact("capacity", {"width": self.width, "backbone_macs_ratio": self.ratio}),)
