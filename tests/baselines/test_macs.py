"""The multiply-adds of every method's mixing, counted by hand: alike for alike work, however it is written."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from mtlbench import plugins
from mtlbench.backbones import Architecture
from mtlbench.config import parse
from mtlbench.deployed.cost import example, untrained
from mtlbench.deployed.cost import macs as counted
from tests.helpers.networks import TASKS

T = 3
C = (4, 8, 16, 32)  # channels after each stage of ResNet-18 at width 1/16; the stem has the first
A = (9 * 9, 5 * 5, 5 * 5, 5 * 5)  # positions there, for an image of 32x32
SITES = [(4, 81), *zip(C, A, strict=True)]  # the stem too
STAGES = list(zip(C, A, strict=True))
BLOCKS = [(c, a) for c, a in STAGES for _ in range(2)]


STEM = 3 * 49 * 4 * 256
PLAIN = [  # a stage's blocks: 3x3 convolutions, the first from its inputs, and a projection where something changes
    (9 * (i * c + 3 * c * c) + (i * c if n else 0)) * a
    for n, (i, (c, a)) in enumerate(zip((4, *C), STAGES, strict=False))
]


@cache
def macs(name: str, options: tuple[tuple[str, Any], ...] = ()) -> float:
    """The backbone's multiply-adds of a deployed method on one input, all tasks at once."""
    cls, maker = plugins.load("methods", name), plugins.load("backbones", "resnet18")
    parsed = parse(cls.Options, dict(options), name)
    architecture = Architecture("resnet18", (3, 32, 32), 0.0625, 8)
    network = untrained(cls, parsed, TASKS[:T], architecture, maker)
    return counted(network, {"all": example(network.shape)}).backbone


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
    # Gates see the stem's channels of a stem of their own; an expert's features are weighed once for each that reads them.
    "mmoe": ("mmoe", {"experts": 4}, 4, STEM + T * 4 * (C[0] + 32 * 25)),
    "mmoe, two shared stages": (
        "mmoe", {"experts": 2, "shared": 2}, 2,
        -(STEM + PLAIN[0] + PLAIN[1]) + T * 2 * (C[1] + 32 * 25),
    ),
    "mmoe, dselect-k": ("mmoe", {"experts": 4, "gate": "dselect-k"}, 4, T * 4 * 32 * 25),
    "cgc": ("cgc", {}, T + 1, STEM + T * 2 * (C[0] + 32 * 25)),
    # After every stage T tasks mix two experts, and before the last the shared ones T + 1.
    "ple": (
        "ple", {}, T + 1,
        STEM + sum(T * 2 * (c + d * a) for c, (d, a) in zip((4, *C), STAGES, strict=False))
        + sum((T + 1) * (c + d * a) for c, (d, a) in zip((4, *C), STAGES[:-1], strict=False)),
    ),
    "ltb": ("ltb", {}, 1, 0),
    "ltb, a tree": (
        "ltb", {"tree": "00000,00011,00222"}, T, -2 * (STEM + PLAIN[0]) - PLAIN[1],
    ),
    "soft-sharing": ("soft-sharing", {}, T, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_mixing_by_hand(case: str) -> None:
    name, options, backbones, mixing = TABLE[case]
    assert macs(name, tuple(options.items())) - backbones * macs("hard-sharing") == mixing


CAPACITY = ("hard-sharing-wide", "hard-sharing-narrow", "single-task-narrow")


def test_every_method_has_its_row_or_is_a_capacity_control() -> None:
    rows = {name for name, *_ in TABLE.values()} | {"hard-sharing", *CAPACITY}
    assert rows == set(plugins.names("methods"))


def test_a_plain_backbone_by_hand() -> None:
    """The stem on 16x16 positions; a block's two 3x3 convolutions, the first from its inputs; projections where a stage
    changes width, stride or dilation."""
    assert macs("hard-sharing") == STEM + sum(PLAIN)
