"""Ordinal: one of several levels that have an order, for each input."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.tasks.kinds.base import Classes, occurrences, per_image
from mtlbench.tasks.metric import Metric
from mtlbench.tasks.reductions import Array, Mean, QuadraticKappa
from mtlbench.tasks.task import VOID, Constant, Task


class MedianLevel(Constant):
    """The median level, as cumulative logits: best in absolute error."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._total = torch.zeros(task.channels + 1, dtype=torch.long)

    def update(self, target: Tensor, mask: Tensor) -> None:
        self._total += torch.bincount(target[mask].cpu(), minlength=self.task.channels + 1)

    def prediction(self) -> Tensor:
        reached = self._total.cumsum(0)
        level = int((2 * reached < reached[-1]).sum())
        return torch.where(torch.arange(self.task.channels) < level, 1.0, -1.0)


class Ordinal(Classes):
    """A level for each input: cumulative logits; mean absolute error in levels and quadratic kappa.

    The network's `channels` outputs say how likely the label lies above each of the levels 0 .. channels - 1, so there is
    one level more than channels (Niu et al., CVPR 2016: the summed cross-entropy of these binary questions). The answer
    is the number of those that are affirmed.
    """

    name = "ordinal"
    view: ClassVar[str] = "level"
    constant: ClassVar[type[Constant]] = MedianLevel
    metrics = (
        Metric("mae", "levels", False, Mean("abs"), primary=True),
        Metric("quadratic_kappa", "", True, QuadraticKappa(), best=1.0),
    )

    def loss(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        above = (target.unsqueeze(1) > torch.arange(task.channels, device=target.device)).to(prediction.dtype)
        return F.binary_cross_entropy_with_logits(prediction, above, reduction="none").sum(1) * mask

    def statistics(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Errors in levels, (B, 1), and the confusion of levels (truth by answer), (B, levels^2)."""
        levels, guess = task.channels + 1, (prediction > 0).sum(1)
        return {
            "count": per_image(mask),
            "abs": per_image(torch.where(mask, (guess - target).abs(), 0)),
            "confusion": occurrences(target * levels + guess, mask, levels * levels),
        }

    def faults(self, task: Task, target: Tensor) -> Iterator[str]:
        wrong = target[(target != VOID) & ((target < 0) | (target > task.channels))]
        if len(wrong):
            yield f"has level {wrong[0].item()} (0 to {task.channels}, or {VOID} for none, is expected)"

    def example(self, task: Task, noise: Tensor) -> Tensor:
        return (noise.float().flatten(1).mean(1) * 7).floor().long() % (task.channels + 1)

    def answer(self, task: Task, prediction: Tensor) -> Array:
        """The levels, (B,)."""
        found: Array = (prediction > 0).sum(1).numpy()
        return found

    def say(self, task: Task, prediction: Tensor) -> str:
        level = int(self.answer(task, prediction)[0])
        return f"{task.name}: {task.classes[level] if task.classes else f'level {level}'}"
