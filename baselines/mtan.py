"""MTAN: end-to-end multi-task learning with attention (Liu, Johns and Davison, CVPR 2019, arXiv 1803.10704), in the form
for residual networks: one shared network, and for each task a soft mask over the features of every stage."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from baselines.soft_sharing import pointwise
from mtlbench.backbones import Backbone, Build
from mtlbench.backbones.base import initialise
from mtlbench.method import Method, Options
from mtlbench.tasks import Task

EXPANSION = 4
"""How many times narrower a refinement's middle is than its outputs: a residual bottleneck's."""


class MTANOptions(Options):
    """The width of the masks, and what carries attended features on."""

    reduction: int = Field(
        4, ge=1, le=4096, description="How many times narrower a mask's bottleneck is than the features it masks."
    )
    refinement: Literal["bottleneck", "convolution"] = Field(
        "bottleneck",
        description="What carries attended features to the next stage: a residual bottleneck block, as the authors' code "
        "for residual networks has, or one 3x3 convolution as in their SegNet.",
    )


class Attention(nn.Module):
    """A task's mask at a stage: `sigmoid(BN(conv1x1(ReLU(BN(conv1x1(.))))))` (Section 3.2, Equation 2: h and g)."""

    def __init__(self, inputs: int, outputs: int, reduction: int, build: Build) -> None:
        super().__init__()
        middle = max(1, outputs // reduction)
        self.squeeze = nn.Sequential(pointwise(inputs, middle, build), build.norm(middle), nn.ReLU(inplace=True))
        self.mask = nn.Sequential(pointwise(middle, outputs, build), build.norm(outputs), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.mask(self.squeeze(x))  # type: ignore[no-any-return]


class Refinement(nn.Module):
    """What carries attended features to the next stage (Equation 2: f): ReLU(projection(x) + branch(x)), pooled to its size.

    The branch is a bottleneck, conv1x1-BN-ReLU-conv3x3-BN-ReLU-conv1x1-BN of a quarter of its outputs, beside a
    projection (1x1 and BN); or one conv3x3-BN beside nothing.
    """

    def __init__(self, inputs: int, outputs: int, form: str, build: Build) -> None:
        super().__init__()
        middle = max(1, outputs // EXPANSION)

        def layer(conv: nn.Module, channels: int, *more: nn.Module) -> tuple[nn.Module, ...]:
            return (conv, build.norm(channels), *more)

        if form == "convolution":
            self.branch = nn.Sequential(*layer(_three(inputs, outputs, build), outputs))
            self.projection: nn.Module | None = None
            return
        self.branch = nn.Sequential(
            *layer(pointwise(inputs, middle, build), middle, nn.ReLU(inplace=True)),
            *layer(_three(middle, middle, build), middle, nn.ReLU(inplace=True)),
            *layer(pointwise(middle, outputs, build), outputs),
        )
        self.projection = nn.Sequential(*layer(pointwise(inputs, outputs, build), outputs))

    def forward(self, x: Tensor, like: Tensor) -> Tensor:
        refined = self.branch(x) if self.projection is None else self.projection(x) + self.branch(x)
        return pooled(F.relu(refined), like)


def _three(inputs: int, outputs: int, build: Build) -> nn.Conv1d | nn.Conv2d:
    kind = nn.Conv2d if len(build.architecture.shape) == 3 else nn.Conv1d
    return kind(inputs, outputs, 3, padding=1, bias=False)


def pooled(x: Tensor, like: Tensor) -> Tensor:
    """Max-pooled by the whole factor that lies between the sizes of `x` and `like`."""
    factor = round(x.shape[-1] / like.shape[-1])
    if factor == 1:
        return x
    pool = F.max_pool2d if x.dim() == 4 else F.max_pool1d
    return pool(x, factor, ceil_mode=True)


class MTAN(Method):
    """One shared backbone; each task reads the stages' features through masks of its own."""

    name = "mtan"
    Options = MTANOptions

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        self.backbone = build.backbone()
        self.attention = nn.ModuleDict({t.name: build.module(f"mtan.{t.name}", self._masks) for t in tasks})
        self.refinement = build.module("mtan", self._refinements)
        self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})

    def _masks(self) -> nn.ModuleList:
        widths = self.backbone.channels[1:]
        inputs = [widths[0], *(2 * w for w in widths[1:])]  # later stages read the refined features of the last beside
        pairs = zip(inputs, widths, strict=True)
        masks = nn.ModuleList(Attention(i, w, self.options.reduction, self.build) for i, w in pairs)
        initialise(masks, self.build.architecture.init)
        return masks

    def _refinements(self) -> nn.ModuleList:
        """Shared by the tasks, one between each stage and the next."""
        widths = self.backbone.channels[1:]
        steps = nn.ModuleList(Refinement(a, b, self.options.refinement, self.build) for a, b in pairwise(widths))
        initialise(steps, self.build.architecture.init)
        return steps

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        stages = shared_features(self.backbone, x)
        return {t: self.heads[t](self._attended(t, stages)) for t in tasks}

    def _attended(self, task: str, stages: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        masks = cast(nn.ModuleList, self.attention[task])
        before, after = stages[0]
        attended: Tensor = masks[0](before) * after
        for mask, refine, (before, after) in zip(masks[1:], self.refinement, stages[1:], strict=True):
            carried = refine(attended, before)
            attended = mask(torch.cat((before, carried), dim=1)) * after
        return attended


def shared_features(backbone: Backbone, x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """For each stage the features before its last block and after it (a stage of one block: after it, twice)."""
    x = backbone.stem(x)
    pairs = []
    for stage in backbone.stages:
        *first, last = cast(nn.Sequential, stage)
        for block in first:
            x = block(x)
        before, x = x, last(x)
        pairs.append((before if first else x, x))
    return pairs
