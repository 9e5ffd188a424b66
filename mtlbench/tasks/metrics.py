"""Metrics over a whole split, from sums that each image contributes: never an average of batch averages.

`statistics` gives one row of sufficient statistics an image; rows add up, over batches, splits or bootstrap resamples,
and the metrics' reductions make figures of a sum.
"""

from __future__ import annotations

from torch import Tensor

from mtlbench.tasks.losses import labelled, to_label
from mtlbench.tasks.task import Task

Statistics = dict[str, Tensor]


def statistics(task: Task, prediction: Tensor, target: Tensor) -> Statistics:
    """Sufficient statistics of each image: (B, k) float64 each. `prediction` is the network's raw output."""
    prediction = to_label(task, prediction.float(), target)
    return task.meaning.statistics(task, prediction, target, labelled(task, target))


class ConstantPredictor:
    """The kind's best answer that looks at no input, fitted on training labels: what every method has to beat."""

    def __init__(self, task: Task) -> None:
        self.task = task
        self._fit = task.meaning.constant(task)
        self._fitted: Tensor | None = None

    def update(self, target: Tensor) -> None:
        """Take in a batch of targets."""
        self._fit.update(target, labelled(self.task, target))

    def prediction(self) -> Tensor:
        """The network output that says so for every image: (C,)."""
        return self._fit.prediction()

    def like(self, target: Tensor) -> Tensor:
        """The prediction as a batch for `target`: (B, C, H, W), or (B, C). Nothing more can be taken in after."""
        if self._fitted is None:
            self._fitted = self.prediction()
        value = self._fitted.to(target.device)
        shape = (len(target), self.task.channels)
        if not self.task.dense:
            return value.expand(shape)
        return value.view(1, -1, 1, 1).expand(*shape, *target.shape[-2:])
