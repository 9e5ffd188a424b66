"""The multiply-adds of every method's mixing, counted by hand: alike for alike work, however it is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from mtlbench import plugins
from mtlbench.backbones import Architecture
from mtlbench.config import parse
from mtlbench.deployed.cost import estimate
from tests.helpers.networks import TASKS

T = 3
C = (4, 8, 16, 32)  # channels after each stage of ResNet-18 at width 1/16; the stem has the first
A = (9 * 9, 5 * 5, 5 * 5, 5 * 5)  # positions there, for an image of 32x32
SITES = [(4, 81), *zip(C, A, strict=True)]  # the stem too
STAGES = list(zip(C, A, strict=True))
BLOCKS = [(c, a) for c, a in STAGES for _ in range(2)]


@cache
def macs(name: str, options: tuple[tuple[str, Any], ...] = ()) -> float:
    """The backbone's multiply-adds of a deployed method on one input, all tasks at once."""
    cls, maker = plugins.load("methods", name), plugins.load("backbones", "resnet18")
    parsed = parse(cls.Options, dict(options), name)
    architecture = Architecture("resnet18", (3, 32, 32), 0.0625, 8)
    return estimate(cls, parsed, TASKS[:T], architecture, maker, timed=False).macs.backbone


def mtan(refine: Callable[[int, int], int]) -> int:
    """Masks of a c / 4 bottleneck over what they read, one product with the features, and what carries these on."""
    inputs = (C[0], *(2 * c for c in C[1:]))
    masks = sum(a * (c // 4 * (i + c) + c) for i, (c, a) in zip(inputs, STAGES, strict=True))
    carried = sum(refine(b, c) * a for b, c, a in zip(C, C[1:], A, strict=False))
    return T * (masks + carried)


# A method, its options, so many plain backbones, and what its mixing takes beside them.
TABLE: dict[str, tuple[str, dict[str, Any], int, int]] = {
    "single-task": ("single-task", {}, T, 0),
    "cross-stitch": ("cross-stitch", {}, T, sum(T * T * c * a for c, a in STAGES)),
    "cross-stitch, channel": ("cross-stitch", {"unit": "channel"}, T, sum(T * T * c * a for c, a in STAGES)),
    # Two subspaces of c / 2 a task, (2T)^2 c / 2 a position; then beta over four stages at the last one's size and width,
    # which the others reach by a 1x1 projection.
    "sluice": (
        "sluice", {}, T,
        sum(4 * T * T * c // 2 * a for c, a in STAGES) + T * 25 * (4 * 32 + 32 * (4 + 8 + 16)),
    ),
    "nddr": ("nddr", {}, T, sum(T * T * c * c * a for c, a in SITES)),
    "nddr, shortcut": ("nddr", {"shortcut": True}, T, sum(T * T * c * c * a for c, a in SITES) + T * 32 * (4 + sum(C)) * 25),
    "mtan": ("mtan", {}, 1, mtan(lambda b, c: b * c // 4 + 9 * (c // 4) ** 2 + c * c // 4 + b * c)),
    "mtan, convolution": ("mtan", {"refinement": "convolution"}, 1, mtan(lambda b, c: 9 * b * c)),
    "stochastic-depth": ("stochastic-depth", {}, 1, sum(c * a for c, a in BLOCKS)),
    "adashare": ("adashare", {"policy": ",".join(["1" * 8] * T)}, 1, 0),
    "random-policy": ("random-policy", {"skip": 0.0}, 1, 0),
    "shuffled-policy": ("shuffled-policy", {"skip": 0.0}, 1, 0),
    "den": ("den", {}, 1, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_mixing_by_hand(case: str) -> None:
    name, options, backbones, mixing = TABLE[case]
    assert macs(name, tuple(options.items())) - backbones * macs("hard-sharing") == mixing


def test_every_method_has_its_row_or_is_a_capacity_control() -> None:
    rows = {name for name, *_ in TABLE.values()} | {"hard-sharing", "hard-sharing-wide", "single-task-narrow"}
    assert rows == set(plugins.names("methods"))


def test_a_plain_backbone_by_hand() -> None:
    """The stem on 16x16 positions; a block's two 3x3 convolutions, the first from its inputs; projections where a stage
    changes width, stride or dilation."""
    inputs = (4, *C)
    blocks = sum(9 * (i * c + 3 * c * c) * a for i, (c, a) in zip(inputs, STAGES, strict=False))
    projections = sum(i * c * a for i, (c, a) in list(zip(inputs, STAGES, strict=False))[1:])
    assert macs("hard-sharing") == 3 * 49 * 4 * 256 + blocks + projections
