"""What tests build their tiny networks from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from mtlbench.backbones import Architecture, Build
from mtlbench.config import parse
from mtlbench.method import Budget, Method, Phase, Where
from mtlbench.plugins import load
from mtlbench.tasks import Task

TASKS = (
    Task("segmentation", "segmentation", 4),
    Task("normals", "normals", 3),
    Task("depth", "depth", 1, unit="m"),
    Task("keypoints", "keypoints", 1),
    Task("edges", "edges", 1),
)


def tiny_build(
    backbone: str = "resnet18",
    width: float = 0.0625,
    shape: tuple[int, ...] = (3, 32, 32),
    streams: Sequence[str] = ("all",),
    seed: int = 0,
    **architecture: Any,
) -> Build:
    """A `Build` of a network of a few thousand parameters."""
    settings = {"head": 8, **architecture}
    made = Architecture(backbone=backbone, shape=shape, width=width, **settings)
    return Build(made, load("backbones", backbone), seed, streams)


def tiny_method(
    name: str, tasks: int | Sequence[Task] = 3, options: Mapping[str, Any] | None = None, **build: Any
) -> Method:
    """A registered method on a tiny backbone, in float32; `tasks` is how many of TASKS, or the tasks."""
    cls = load("methods", name)
    chosen = TASKS[:tasks] if isinstance(tasks, int) else tuple(tasks)
    parsed = parse(cls.Options, dict(options or {}), f"method '{name}'")
    method: Method = cls(parsed, tiny_build(**build), chosen)
    return method


def begun(method: Method, budget: Budget) -> tuple[Phase, ...]:
    """A method's phases under a budget, which it is told as the harness tells it."""
    method.budget = budget
    return method.phases(budget)


def last_phase(name: str, tasks: Sequence[Task], side: int, width: float, head: int = 16) -> Method:
    """A registered method as it trains in its last phase: ResNet-18 at side x side, channels last."""
    cls = load("methods", name)
    build = tiny_build(width=width, shape=(3, side, side), head=head)
    method: Method = cls(cls.Options(), build, tuple(tasks))
    phases = begun(method, Budget(300, {"train": 50, "train-a": 40, "train-b": 10}))
    method.where = Where(299, phases[-1].name)
    return method.to(memory_format=torch.channels_last)  # type: ignore[call-overload,no-any-return]


def images(batch: int = 2, side: int = 32, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """A batch of random images (B, 3, side, side)."""
    return torch.randn(batch, 3, side, side, dtype=dtype, generator=torch.Generator().manual_seed(seed))
