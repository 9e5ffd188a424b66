"""Checks of a kind of task: what it declares, its labels, its loss, its statistics, its constant, and how it is shown."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from mtlbench.checks.asking import Check
from mtlbench.seeding import generator
from mtlbench.tasks import VOID, Kind, Task, figures
from mtlbench.tasks.losses import elementwise, labelled, task_loss
from mtlbench.tasks.metrics import ConstantPredictor, statistics
from mtlbench.tasks.pictures import CHANNELS, DENSE, VIEWS
from mtlbench.tasks.reductions import kept, parse

BATCH, SIDE = 6, 16


class Example:
    """A task of the kind, with three channels where any number will do, and a batch of labels and outputs for it."""

    def __init__(self, kind: type[Kind]) -> None:
        self.kind = kind
        self.task = Task("task", kind, kind.channels or 3)  # type: ignore[arg-type]
        random = generator("kind", kind.name)
        noise = torch.randn(BATCH, 3, SIDE, SIDE, generator=random)
        noise[:, :, :2] = 0.3  # what is alike in every image
        self.target = self.task.meaning.example(self.task, noise)
        shape = (BATCH, self.task.channels, *((SIDE // 2, SIDE // 2) if self.task.dense else ()))
        self.output = torch.randn(shape, generator=random)

    def without(self, image: int | None = None) -> Tensor:
        """The labels with those of one image, or of all, missing."""
        target = self.target.clone()
        target[slice(None) if image is None else image] = VOID if self.task.meaning.integers else math.nan
        return target

    def file(self) -> Path | None:
        """Where the class is written."""
        try:
            return Path(inspect.getfile(self.kind)).resolve()
        except (TypeError, OSError):
            return None


def declares(example: Example) -> Iterator[str]:
    """Metrics' names are unique, reductions can be written down, the view is known."""
    metrics = example.task.metrics
    names = [m.name for m in metrics]
    if len(set(names)) < len(names):
        yield f"metrics are {', '.join(names)} (each name once is expected)"
    for metric in metrics:
        if parse(metric.reduction.data()) != metric.reduction:
            yield f"the reduction of '{metric.name}' is another once it is read back"
    view = example.task.meaning.view
    if view not in ("", *VIEWS) or (view in DENSE and not example.task.dense):
        allowed = VIEWS if example.task.dense else [v for v in VIEWS if v not in DENSE]
        yield f"view is '{view}' (allowed: {', '.join(allowed)}, or '' for none)"


def labels(example: Example) -> Iterator[str]:
    """Its own example is a sound label, and a missing label is known as such."""
    task, target = example.task, example.target
    wanted = torch.long if task.meaning.integers else torch.float32
    shape = (BATCH, *(() if task.meaning.integers else (task.channels,)), *((SIDE, SIDE) if task.dense else ()))
    if target.dtype != wanted or tuple(target.shape) != shape:
        yield f"the example is {target.dtype} {tuple(target.shape)} ({wanted} {shape} is expected)"
    yield from (f"the example {fault}" for fault in task.meaning.faults(task, target))
    mask = labelled(task, example.without(1))
    if mask.dtype != torch.bool or len(mask) != BATCH or bool(mask[1].any()) or not bool(mask[0].any()):
        yield "labelled does not tell an image without a label from one with"


def losses(example: Example) -> Iterator[str]:
    """Losses are finite, of the mask's shape, 0 without a label with no gradient, and give every output one otherwise."""
    task = example.task
    output = example.output.clone().requires_grad_()
    loss = task_loss(task, output, example.without(1))
    loss.sum().backward()
    assert output.grad is not None
    if not bool(torch.isfinite(loss).all() and torch.isfinite(output.grad).all()):
        yield "the loss or its gradient is not finite"
    if float(loss.detach()[1]) != 0 or bool(output.grad[1].any()):
        yield f"an image without a label has the loss {float(loss.detach()[1]):g} or a gradient (0 is expected)"
    if not bool(output.grad[0].any()):
        yield "an image with a label gives its output no gradient"
    if bool(task_loss(task, example.output, example.without()).any()):
        yield "a batch without any label has a loss (0 is expected)"


def sums(example: Example) -> Iterator[str]:
    """Statistics are (B, k) float64, do not depend on the batch, and hold what every reduction names."""
    task, target = example.task, example.without(1)
    whole = statistics(task, example.output, target)
    for name, rows in whole.items():
        if rows.dtype != torch.float64 or rows.ndim != 2 or len(rows) != BATCH:
            yield f"statistic '{name}' is {rows.dtype} {tuple(rows.shape)} (float64 ({BATCH}, k) is expected)"
        if not bool(torch.isfinite(rows).all()):
            yield f"statistic '{name}' is not finite"
    parts = [statistics(task, example.output[i : i + 1], target[i : i + 1]) for i in range(BATCH)]
    for name, rows in whole.items():
        alone = torch.cat([part[name] for part in parts])
        if alone.shape != rows.shape or not torch.allclose(alone, rows, rtol=1e-5, atol=1e-8):
            yield f"statistic '{name}' of an image differs when it comes alone"
    for metric in task.metrics:
        if not kept(metric.reduction, whole):
            yield f"metric '{metric.name}' needs a statistic that is not there ({', '.join(whole)})"
    yield from (f"metric '{n}' is not a number" for n, v in _figures(task, whole).items() if not math.isfinite(v))
    nothing = _figures(task, statistics(task, example.output, example.without()))
    yield from (f"metric '{n}' is {v:g} without any label (NaN is expected)" for n, v in nothing.items() if v == v)


def _figures(task: Task, rows: Mapping[str, Tensor]) -> dict[str, float]:
    return figures(task.metrics, {name: values.sum(0).numpy() for name, values in rows.items()})


def constant(example: Example) -> Iterator[str]:
    """The constant predictor is an output, whatever it has seen."""
    fit = ConstantPredictor(example.task)
    for target in (example.without(), example.target[:2], example.target[2:]):
        fit.update(target)
        found = fit.prediction()
        if tuple(found.shape) != (example.task.channels,) or not bool(torch.isfinite(found).all()):
            yield f"the constant predictor is {tuple(found.shape)} (({example.task.channels},), finite, is expected)"
    again, loss = fit.like(example.target), elementwise(example.task, fit.like(example.target), example.target)[0]
    if len(again) != BATCH or not bool(torch.isfinite(loss).all()):
        yield "the constant predictor's loss is not finite"


def moves(example: Example) -> Iterator[str]:
    """Neither zoomed nor mirrored, a label stays as it is; zoomed and mirrored it is still a sound one."""
    task = example.task
    if not task.dense or task.meaning.integers:
        return
    still, one = torch.zeros(BATCH, dtype=torch.bool), torch.ones(BATCH, 1, 1, 1)

    def moved(zoom: Tensor, mirror: Tensor) -> Tensor:
        return task.meaning.moved(example.target.clone(), zoom, mirror, lambda length, by: length / by)

    if not torch.allclose(moved(one, still), example.target, equal_nan=True):
        yield "a label changes though nothing is zoomed or mirrored"
    turned = moved(1.3 * one, ~still)
    if turned.shape != example.target.shape:
        yield f"a zoomed and mirrored label is {tuple(turned.shape)} ({tuple(example.target.shape)} is expected)"
    yield from (f"a zoomed and mirrored label {fault}" for fault in task.meaning.faults(task, turned))


def answers(example: Example) -> Iterator[str]:
    """Answers have the form that the view draws, and are said in one line where the kind is not dense."""
    task = example.task
    output = task.meaning.finished(example.output)
    found = task.meaning.answer(task, output)
    size = tuple(output.shape[2:])
    forms: dict[str, tuple[int, ...]] = {
        "class": (BATCH, task.channels),
        "labels": (BATCH, task.channels),
        "value": (BATCH, task.channels),
    }
    forms |= {"level": (BATCH,), "classes": (BATCH, *size), "": found.shape}
    wanted = forms.get(task.meaning.view, (BATCH, CHANNELS.get(task.meaning.view, task.channels), *size))
    if found.shape != wanted:
        yield f"an answer is {found.shape} ({wanted} is expected for the view '{task.meaning.view}')"
    said = "" if task.dense else task.meaning.say(task, output[:1])
    if not task.dense and (not said or not said.isprintable()):
        yield f"an answer is said as {said!r} (one line is expected)"


CHECKS: Mapping[str, Check[Example]] = {
    "declares": declares,
    "labels": labels,
    "losses": losses,
    "statistics": sums,
    "constant": constant,
    "moves": moves,
    "answers": answers,
}
