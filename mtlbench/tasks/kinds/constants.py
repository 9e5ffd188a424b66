"""Constant predictors: the best answers that look at no input."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.tasks.task import Constant, Task


class Majority(Constant):
    """The most frequent class, as one-hot logits."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._total = torch.zeros(task.channels, dtype=torch.float64)

    def update(self, target: Tensor, mask: Tensor) -> None:
        self._total += torch.bincount(target[mask], minlength=self.task.channels).double()

    def prediction(self) -> Tensor:
        return F.one_hot(self._total.argmax(), self.task.channels).float()


class Mean(Constant):
    """The mean of each channel: best in squared error."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._total = torch.zeros(task.channels, dtype=torch.float64)
        self._count = 0

    def update(self, target: Tensor, mask: Tensor) -> None:
        known = target.movedim(1, -1)[mask]  # (elements, C)
        self._total += known.double().sum(0)
        self._count += len(known)

    def prediction(self) -> Tensor:
        return (self._total / max(self._count, 1)).float()


class MeanDirection(Constant):
    """The normalised mean of unit vectors."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._total = torch.zeros(task.channels, dtype=torch.float64)

    def update(self, target: Tensor, mask: Tensor) -> None:
        self._total += torch.nan_to_num(target).double().sum((0, 2, 3))

    def prediction(self) -> Tensor:
        return F.normalize(self._total, dim=0).float()


class Median(Constant):
    """The median of each channel: best in absolute error."""

    SAMPLES = 65536  # values kept of each batch: the median of a large set is then that of an even subsample

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._values: list[Tensor] = []

    def update(self, target: Tensor, mask: Tensor) -> None:
        known = target.movedim(1, -1)[mask]  # (elements, C)
        self._values.append(known[:: max(1, math.ceil(len(known) / self.SAMPLES))])

    def prediction(self) -> Tensor:
        values = torch.cat(self._values) if self._values else torch.zeros(0)
        return values.median(0).values.float() if len(values) else torch.zeros(self.task.channels)
