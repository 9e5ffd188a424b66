"""Sizes of backbones at other widths: what the two capacity controls are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import cast

import torch
from torch import Tensor, nn

from mtlbench.backbones import Architecture, Backbone, Build

GRID = 128
"""Widths are tried in steps of 1/GRID: four of the widest stage's channels, the least that a layer can change by."""

_KNOWN: dict[tuple[str, Architecture, int, float], float] = {}


def macs(build: Build, width: float) -> float:
    """Multiply-adds of the convolutions of one backbone of a width multiplier on one input; nothing is computed."""
    return _once(_macs, build, width)


def _macs(build: Build, width: float) -> float:
    shape = build.architecture.shape
    counts: list[int] = []

    def count(module: nn.Module, args: object, output: Tensor) -> None:
        counts.append(output.numel() // output.shape[1] * cast(Tensor, module.weight).numel())

    with torch.device("meta"), torch.no_grad():
        backbone = build.backbone(width=width)
        for module in backbone.modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d):
                module.register_forward_hook(count)
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):  # no shape changes there, and it is slow on meta
                module.forward = nn.Identity().forward  # type: ignore[method-assign]
        backbone(torch.zeros(1, *shape, dtype=torch.long if len(shape) == 1 else torch.float32))
    return float(sum(counts))


def parameters(build: Build, width: float) -> float:
    """Parameters of one backbone of a width multiplier."""
    return _once(_parameters, build, width)


def _parameters(build: Build, width: float) -> float:
    with torch.device("meta"):
        backbone: Backbone = build.backbone(width=width)
    return float(sum(p.numel() for p in backbone.parameters()))


def _once(size: Callable[[Build, float], float], build: Build, width: float) -> float:
    """A size, counted once a process: a run builds its method several times."""
    key = (size.__name__, build.architecture, len(build.switch.streams), width)
    if key not in _KNOWN:
        _KNOWN[key] = size(build, width)
    return _KNOWN[key]


def nearest_width(size: Callable[[float], float], target: float, low: float, high: float) -> float:
    """The width on the grid between `low` and `high` (or one of these) whose `size`, which grows with it, is nearest."""
    size = cache(size)
    first, last = int(low * GRID) + 1, int(high * GRID)
    widths = [low, *(k / GRID for k in range(first, last + 1)), high]
    below, above = 0, len(widths) - 1
    while above - below > 1:
        middle = (below + above) // 2
        if size(widths[middle]) <= target:
            below = middle
        else:
            above = middle
    return min(widths[below], widths[above], key=lambda w: abs(size(w) - target))
