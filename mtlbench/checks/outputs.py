"""Checks of what a method predicts: for which tasks, in which order, in eval mode, on other streams and backbones."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtlbench.checks.subject import Run, Subject, outputs, predict
from mtlbench.checks.tiny import DENSE, IMAGE, LABELS, NUMBERS, TEXT, VECTOR, Tiny, noise
from mtlbench.data.base import ALL
from mtlbench.method import Method
from mtlbench.tasks import Task
from mtlbench.training.loop import Trainer
from mtlbench.training.outputs import check_outputs

EXACT = 1e-10
SHORT = 4
"""Steps of the runs that only show that training works."""


def builds(subject: Subject) -> Iterator[str]:
    """It is built from its options alone, with tasks, build and options as given."""
    method = subject.build()
    if not list(method.parameters()):
        yield "it has no parameters: nothing could be trained"
    if tuple(t.name for t in method.tasks) != tuple(t.name for t in DENSE[:3]):
        yield "self.tasks are not the tasks it was given, in their order"
    for name, parameter in method.named_parameters():
        if not parameter.is_floating_point():
            yield f"'{name}' holds {parameter.dtype} (real numbers are expected)"


def predicts(subject: Subject) -> Iterator[str]:
    """It predicts exactly the tasks it is asked for, in the right shapes, finite, and leaves its input as it is."""
    method = subject.build()
    for training in (True, False):
        method.train(training)
        for asked in (method.tasks, *((t,) for t in method.tasks)):
            yield from faults(method, images(3, torch.float32), asked, "train" if training else "eval")


def faults(method: Method, x: Tensor, tasks: Sequence[Task], mode: str) -> Iterator[str]:
    """What is wrong with one forward pass."""
    names = tuple(t.name for t in tasks)
    before = x.clone()
    with torch.no_grad():
        found = method(x, names)
    check_outputs(found, tasks, len(x))
    position = f"in {mode} mode, asked for {', '.join(names)}"
    extra = set(found) - set(names)
    if extra:
        yield f"forward also returned {', '.join(sorted(map(repr, extra)))} ({position})"
    for task in tasks:
        if not bool(torch.isfinite(found[task.name]).all()):
            yield f"forward's '{task.name}' is not finite ({position})"
    if not torch.equal(x, before):
        yield f"forward wrote into its input ({position})"


def images(count: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """(count, 3, H, W)."""
    return torch.stack([noise(IMAGE, "test", ALL, i) for i in range(count)]).to(dtype)


def any_tasks(subject: Subject) -> Iterator[str]:
    """It is built, trained and evaluated for one task and for up to five."""
    for count in (1, 2, 4, 5):
        try:
            run = Run(Trainer, subject, Tiny(DENSE[:count]), SHORT).train()
            yield from faults(run.trained, images(2, torch.float32), run.method.tasks, "eval")
        except Exception as error:
            error.add_note(f"with {count} task{'s'[: count > 1]}")
            raise


def any_order(subject: Subject) -> Iterator[str]:
    """A task's output does not depend on which others are asked for, nor in which order; it is built for any order.

    Built for its tasks in another order it answers each by name and has as many parameters. Its outputs may then differ
    by what it draws for itself.
    """
    method = subject.trained.trained
    names = [t.name for t in method.tasks]
    asked = [tuple(reversed(names)), *((n,) for n in names), tuple(names[1:])]
    x = images(2)
    whole = outputs(method, x, names)
    for some in asked:
        part = outputs(method, x, some)
        yield from differences(whole, part, some, f"asked for {', '.join(names)}", f"for {', '.join(some)}")
    other = subject.build(tuple(reversed(DENSE[:3]))).eval()
    yield from faults(other, images(2, torch.float32), other.tasks, "eval")
    here, there = (sum(p.numel() for p in m.parameters()) for m in (method, other))
    if here != there:
        yield f"it has {here} parameters for {', '.join(names)} and {there} for these tasks in reverse"


def differences(
    one: Mapping[str, Tensor], other: Mapping[str, Tensor], names: Sequence[str], a: str, b: str
) -> Iterator[str]:
    """A line for every task whose two outputs lie further apart than rounding."""
    for name in names:
        if one[name].shape != other[name].shape:
            yield f"'{name}' has shape {tuple(one[name].shape)} {a}, {tuple(other[name].shape)} {b}"
            continue
        apart = (one[name] - other[name]).abs().max().item()
        if not apart <= EXACT * max(1.0, one[name].abs().max().item()):
            yield f"'{name}' differs by {apart:.2g} between {a} and {b}"


def evaluates(subject: Subject) -> Iterator[str]:
    """Eval mode is deterministic, independent of the batch, and changes neither state nor random generators."""
    method = subject.trained.trained
    names = tuple(t.name for t in method.tasks)
    x = images(3)
    before, drawn = tensors(method), generators()
    whole = outputs(method, x, names)
    if not equal(drawn, generators()):
        yield "eval mode draws random numbers"
    torch.rand(7)
    again = outputs(method, x, names)
    rows = [outputs(method, x[i : i + 1], names) for i in range(len(x))]
    yield from differences(whole, again, names, "one eval pass", "the next on the same input")
    single = {n: torch.cat([row[n] for row in rows]) for n in names}
    yield from differences(whole, single, names, "a batch of 3", "its images one by one, in eval mode")
    after = tensors(method)
    for name in before:
        if not torch.equal(before[name].nan_to_num(), after[name].nan_to_num()):
            yield f"eval mode changed '{name}'"


def tensors(module: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters and buffers, also those that state_dict leaves out."""
    found = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: value.detach().clone() for name, value in found.items()}


def generators() -> tuple[Any, ...]:
    """The states of the global random generators."""
    return torch.get_rng_state(), np.random.get_state(legacy=True), random.getstate()


def equal(a: Sequence[Any], b: Sequence[Any]) -> bool:
    """Whether two states are the same."""
    return all(
        np.array_equal(np.asarray(x), np.asarray(y)) if isinstance(x, Tensor | np.ndarray)
        else equal(x, y) if isinstance(x, tuple) else x == y
        for x, y in zip(a, b, strict=True)
    )  # fmt: skip


def streams(subject: Subject) -> Iterator[str]:
    """Where every task has inputs of its own it trains on them one by one, with batch statistics for each."""
    run = Run(Trainer, subject, Tiny(LABELS, streams=True), SHORT).train()
    method, names = run.trained, [t.name for t in LABELS]
    for name, found in predict(method, method.build, run.dataset).items():
        if not bool(torch.isfinite(found).all()):
            yield f"forward's '{name}' is not finite in eval mode, on a stream of its own"
    changed: dict[str, list[str]] = {}
    method.train()
    for name in names:
        before = statistics(method)
        predict(method, method.build, run.dataset, (name,))
        now = statistics(method)
        for norm in before:
            if not torch.equal(before[norm], now[norm]):
                changed.setdefault(norm, []).append(name)
    for norm, by in changed.items():
        if len(by) > 1:
            yield f"the batch norm '{norm}' mixes the statistics of {', '.join(by)}: make it by build.norm"


def statistics(method: nn.Module) -> dict[str, Tensor]:
    """Every batch norm's running mean."""
    norms = {n: m for n, m in method.named_modules() if isinstance(m, _BatchNorm)}
    return {n: m.running_mean.clone() for n, m in norms.items() if m.running_mean is not None}


def backbones(subject: Subject) -> Iterator[str]:
    """It works on every kind of backbone: basic blocks, bottlenecks, convolutions over texts, and linear layers."""
    for backbone, tasks, shape in (
        ("resnet18", DENSE[:2], IMAGE),
        ("resnet50", DENSE[:2], IMAGE),
        ("vdcnn9", LABELS[:2], TEXT),
        ("resmlp", NUMBERS, VECTOR),
    ):
        try:
            run = Run(Trainer, subject, Tiny(tasks, shape, streams=shape is TEXT), 2, backbone=backbone).train()
            found = predict(run.trained, run.method.build, run.dataset)
            for task in tasks:
                if not bool(torch.isfinite(found[task.name]).all()):
                    yield f"forward's '{task.name}' is not finite on {backbone}"
        except Exception as error:
            error.add_note(f"on {backbone}")
            raise
