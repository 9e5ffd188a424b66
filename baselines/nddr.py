"""NDDR-CNN: layerwise feature fusing by neural discriminative dimensionality reduction (Gao, Ma, Zhao, Liu and Yuille,
CVPR 2019, arXiv 1801.08297)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from baselines.soft_sharing import SoftSharing, SoftSharingOptions, mixing, pointwise
from mtlbench.backbones import Build
from mtlbench.method import Artefact
from mtlbench.tasks import Task

Init = Literal["diagonal", "xavier"]


class NDDROptions(SoftSharingOptions):
    """What a site is, and what a head reads."""

    init: Init = Field(
        "diagonal", description="A site starts as a mixture of equal channels ('diagonal', the paper's) or at random."
    )
    shortcut: bool = Field(
        False,
        description="Whether a head reads the outputs of all of its task's sites (the paper's NDDR-CNN-Shortcut).",
    )
    momentum: float = Field(0.05, gt=0, le=1, description="The momentum of the sites' batch norms.")


def stretched(features: Tensor, like: Tensor) -> Tensor:
    """Features (B, C, ...) brought to the size of `like` by linear interpolation (bilinear for maps)."""
    size = like.shape[2:]
    if features.shape[2:] == size:
        return features
    return F.interpolate(features, size=size, mode="bilinear" if len(size) == 2 else "linear")


class Fusion(nn.Module):
    """One task's NDDR layer: `ReLU(BN(W * concat_j F_j))`, W a 1x1 convolution from T * C to C channels.

    The shortcut's layer has the same form, over a task's own features of all sites.
    """

    def __init__(self, conv: nn.Conv1d | nn.Conv2d, norm: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.norm(self.conv(x)))

    def start(self, weights: Tensor | None) -> None:
        """Channel c of the output starts as `sum_j weights[j]` times channel c of task j; at random for None."""
        kernel = self.conv.weight.data
        if weights is None:
            nn.init.xavier_normal_(kernel)
        else:
            table = torch.cat([w * torch.eye(len(kernel)) for w in weights], dim=1)  # (C, T * C)
            kernel.copy_(table.view_as(kernel))


class NDDR(SoftSharing):
    """T networks; after the stem and every stage each task reduces the features of all to a network of its own."""

    name = "nddr"
    Options = NDDROptions

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        self.units = build.module("nddr", self._make_units)

    def _make_units(self) -> nn.ModuleDict:
        sites = nn.ModuleList(
            nn.ModuleList(self._fusion(c, weights) for weights in mixing(len(self.tasks))) for c in self.channels
        )
        units = nn.ModuleDict({"sites": sites})
        if self.options.shortcut:
            units["shortcut"] = nn.ModuleList(
                self._fused(sum(self.channels), self.channels[-1], None) for _ in self.tasks
            )
        return units

    def _fusion(self, channels: int, weights: Tensor) -> Fusion:
        return self._fused(channels * len(self.tasks), channels, weights if self.options.init == "diagonal" else None)

    def _fused(self, inputs: int, channels: int, weights: Tensor | None) -> Fusion:
        norm = self.build.norm(channels)
        for m in norm.modules():  # one a domain where tasks have inputs of their own
            if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
                m.momentum = self.options.momentum
        fusion = Fusion(pointwise(inputs, channels, self.build), norm)
        fusion.start(weights)
        return fusion

    @classmethod
    def defaults(cls, preset: str, dataset: str, tasks: Sequence[str]) -> Mapping[str, Any]:
        # Section 5: NDDR layers learn 100 times as fast as the weights, under SGD with momentum
        return {"optimizer": "sgd", "lr": 1e-3, "units_lr": 100.0} if preset == "paper" else {}

    def mix(self, site: int, features: list[Tensor], rows: Sequence[int]) -> list[Tensor]:
        together = torch.cat(features, dim=1)  # (B, T * C, h, w)
        sites: Any = self.units["sites"]
        return [sites[site][r](together) for r in rows]

    def read(self, trail: Iterator[list[Tensor]], rows: Sequence[int]) -> list[Tensor]:
        if not self.options.shortcut:
            return super().read(trail, rows)
        sites = list(trail)
        fusions: Any = self.units["shortcut"]
        columns = zip(*sites, strict=True)  # for each task its outputs at every site
        return [fusions[r](torch.cat([stretched(f, c[-1]) for f in c], 1)) for r, c in zip(rows, columns, strict=True)]

    def own(self) -> list[float]:
        """At each site the share of the weights' norm that lies on a task's own features, averaged over tasks."""
        sites: Any = self.units["sites"]
        return [
            sum(_own(fusion.conv.weight.detach(), r) for r, fusion in enumerate(site)) / len(self.tasks)
            for site in sites
        ]

    def log(self) -> Mapping[str, float]:
        return {f"own.{site}": own for site, own in enumerate(self.own())}

    def artefacts(self) -> Sequence[Artefact]:
        return (Artefact("units", {"tasks": [t.name for t in self.tasks], "own_share": self.own()}),)


def _own(kernel: Tensor, row: int) -> float:
    """The share of a (C, T * C, ...) kernel's squared norm in the columns of task `row`."""
    own = kernel[:, row * len(kernel) : (row + 1) * len(kernel)]
    return float(own.square().sum() / kernel.square().sum())
