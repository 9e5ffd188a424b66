"""What kinds with real labels have in common, and what those with classes have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from mtlbench.tasks.kinds.constants import Majority, Median
from mtlbench.tasks.task import VOID, Constant, Kind, Task

VECTOR = 16  # numbers of a processor's widest vector, in single precision


def per_image(values: Tensor) -> Tensor:
    """The sum over each image of (B, ...): (B, 1) float64."""
    return values.reshape(len(values), -1).sum(1, dtype=torch.float64).unsqueeze(1)


class Values(Kind):
    """Labels of real numbers, NaN where missing: L1 and the mean absolute error, unless a kind says otherwise."""

    integers: ClassVar[bool] = False
    constant: ClassVar[type[Constant]] = Median

    def labelled(self, target: Tensor) -> Tensor:
        return torch.isfinite(target).all(dim=1)

    def distance(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of each element: (B, C, ...) -> (B, ...)."""
        return (prediction - target).abs().mean(dim=1)

    def loss(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        # The unlabelled NaNs must go before the subtraction: 0 * NaN is NaN in the backward pass too.
        known = torch.where(mask.unsqueeze(1), target, torch.zeros_like(target))
        return self.distance(prediction, known) * mask

    def statistics(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        error = torch.where(mask, (prediction - target).abs().mean(1), 0.0)
        return {"count": per_image(mask), "abs": per_image(error)}

    def faults(self, task: Task, target: Tensor) -> Iterator[str]:
        if bool(torch.isinf(target).any()):
            yield "is infinite (a missing label is NaN)"
        missing = torch.isnan(target)
        if bool((missing.any(1) != missing.all(1)).any()):
            yield "lacks some channels of a pixel (a missing label is NaN in all)"

    def example(self, task: Task, noise: Tensor) -> Tensor:
        level = noise.mean(1) if self.dense else noise.float().flatten(1).mean(1)
        values = (1.5 + level.abs()).masked_fill(level < -0.9, math.nan).unsqueeze(1)
        return values.expand(-1, task.channels, *values.shape[2:]).clone() if task.channels > 1 else values

    def say(self, task: Task, prediction: Tensor) -> str:
        return f"{task.name}: {', '.join(f'{v:.4g}' for v in prediction[0].tolist())} {task.unit}".rstrip()


def log_shares(rows: Tensor) -> Tensor:
    """log softmax of each row (N, C).

    `F.log_softmax` walks rows shorter than a processor's vector number by number: 7 times as long for 12 classes as this.
    """
    if rows.device.type == "cpu" and rows.shape[1] < VECTOR:
        return rows - rows.logsumexp(1, keepdim=True)
    return F.log_softmax(rows, 1)


class CrossEntropy(torch.autograd.Function):
    """-log softmax(rows)[target] of each row, 0 where the target is VOID: rows (N, C), target (N,) -> (N,).

    Equal to `F.cross_entropy` but for rounding. The slope, softmax less one-hot, is formed once and in place, where torch
    fills a gradient of zeros and takes it back through log-softmax: two thirds of the time for 40 classes on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, target: Tensor) -> Tensor:
        known = target != VOID
        place = target.clamp(min=0).unsqueeze(1)
        slope = log_shares(rows)
        loss = torch.where(known, -slope.gather(1, place).squeeze(1), 0.0)
        if ctx.needs_input_grad[0]:
            slope.exp_().scatter_add_(1, place, slope.new_full((1, 1), -1.0).expand(len(rows), 1))
            ctx.save_for_backward(slope, known)
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        slope, known = ctx.saved_tensors
        return slope * (gradient * known).unsqueeze(-1), None


class Classes(Kind):
    """Labels of integers, -1 where missing: cross-entropy, and for each image what is right, truly and predicted."""

    integers: ClassVar[bool] = True
    likelihood: ClassVar[bool] = True
    constant: ClassVar[type[Constant]] = Majority

    def labelled(self, target: Tensor) -> Tensor:
        return target != VOID

    def loss(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        rows = prediction.movedim(1, -1).reshape(-1, task.channels)  # (pixels, classes)
        loss: Tensor = CrossEntropy.apply(rows, target.flatten())  # type: ignore[no-untyped-call]
        return loss.view(target.shape)

    def statistics(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Pixels of each class: truly, as predicted (on labelled pixels only), and where both agree: (B, C) each."""
        guess = prediction.argmax(1)
        return {
            "intersection": occurrences(target, mask & (guess == target), task.channels),
            "truth": occurrences(target, mask, task.channels),
            "predicted": occurrences(guess, mask, task.channels),
            "count": mask.view(len(mask), -1).sum(1, dtype=torch.float64).unsqueeze(1),
        }

    def faults(self, task: Task, target: Tensor) -> Iterator[str]:
        wrong = target[(target != VOID) & ((target < 0) | (target >= task.channels))]
        if len(wrong):
            yield f"has label {wrong[0].item()} (0 to {task.channels - 1}, or {VOID} for none, is expected)"

    def example(self, task: Task, noise: Tensor) -> Tensor:
        level = noise.mean(1) if self.dense else noise.float().flatten(1).mean(1)
        classes = (level * 7).floor().long() % task.channels
        return classes.masked_fill(level > 0.8, VOID) if self.dense else classes


def occurrences(label: Tensor, where: Tensor, classes: int) -> Tensor:
    """How often each image (B, ...) has each class where `where` holds: (B, classes) float64."""
    batch = len(label)
    image = torch.arange(batch, device=label.device).view(-1, *[1] * (label.ndim - 1)).expand_as(label)
    cells = (image * classes + label)[where]
    return torch.bincount(cells, minlength=batch * classes).view(batch, classes).double()
