"""Metrics over a whole split, from sums that each image contributes: never an average of batch averages.

`statistics` gives one row of sufficient statistics an image; rows add up, over batches, splits or bootstrap resamples,
and `summaries.summarise` turns a sum into the metrics.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.tasks import Task
from mtlbench.tasks.losses import labelled, to_label, unit
from mtlbench.tasks.summaries import ANGLE_BIN, ANGLES, DELTAS, HISTOGRAM

MIN_DEPTH = 1e-3

Statistics = dict[str, Tensor]


def statistics(task: Task, prediction: Tensor, target: Tensor) -> Statistics:
    """Sufficient statistics of each image: (B, k) float64 each. `prediction` is the network's raw output."""
    prediction = to_label(task, prediction.float(), target)
    mask = labelled(task, target)
    if task.kind in ("segmentation", "classification"):
        return _classes(task, prediction, target, mask)
    if task.kind == "normals":
        return _angles(prediction, target, mask)
    error = torch.where(mask, (prediction - target).abs().mean(1), 0.0)
    sums = {"count": _per_image(mask), "abs": _per_image(error)}
    return sums | _depth(prediction, target, mask) if task.kind == "depth" else sums


def _per_image(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1, dtype=torch.float64).unsqueeze(1)  # (B, H, W) -> (B, 1)


def _classes(task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> Statistics:
    """Pixels of each class: truly, as predicted (on labelled pixels only), and where both agree: (B, C) each."""
    batch, classes = len(target), task.channels
    guess = prediction.argmax(1)
    image = torch.arange(batch, device=target.device).view(-1, *[1] * (target.ndim - 1)).expand_as(target)

    def count(label: Tensor, where: Tensor) -> Tensor:
        cells = (image * classes + label)[where]
        return torch.bincount(cells, minlength=batch * classes).view(batch, classes).double()

    return {
        "intersection": count(target, mask & (guess == target)),
        "truth": count(target, mask),
        "predicted": count(guess, mask),
        "count": mask.view(batch, -1).sum(1, dtype=torch.float64).unsqueeze(1),
    }


def _angles(prediction: Tensor, target: Tensor, mask: Tensor) -> Statistics:
    cosine = (unit(prediction.double()) * unit(torch.nan_to_num(target).double())).sum(1).clamp(-1, 1)
    angle = torch.rad2deg(torch.acos(cosine))  # (B, H, W)
    within = torch.stack([_per_image(mask & (angle < limit)) for limit in ANGLES], 1).squeeze(2)
    bins = round(180 / ANGLE_BIN)
    index = (angle / ANGLE_BIN).long().clamp(max=bins - 1)
    index += torch.arange(len(angle), device=angle.device).view(-1, 1, 1) * bins
    histogram = torch.bincount(index[mask], minlength=len(angle) * bins).view(len(angle), bins).double()
    return {
        "count": _per_image(mask),
        "angle": _per_image(torch.where(mask, angle, 0.0)),
        "within": within,
        HISTOGRAM: histogram,
    }


def _depth(prediction: Tensor, target: Tensor, mask: Tensor) -> Statistics:
    """Errors of the raw prediction; only the ratios of the deltas need one that is positive."""
    truth = torch.where(mask, target.squeeze(1).double(), 1.0)
    error = torch.where(mask, (prediction.squeeze(1).double() - truth).abs(), 0.0)
    truth = truth.clamp(min=MIN_DEPTH)
    guess = prediction.squeeze(1).double().clamp(min=MIN_DEPTH)
    ratio = torch.maximum(guess / truth, truth / guess)
    return {
        "abs": _per_image(error),
        "square": _per_image(error.square()),
        "relative": _per_image(error / truth),
        "delta": torch.stack([_per_image(mask & (ratio < limit)) for limit in DELTAS], 1).squeeze(2),
    }


class ConstantPredictor:
    """The best answer that looks at no input, fitted on training labels: what every method has to beat.

    The median for L1 tasks, the normalised mean for normals, the most frequent class otherwise.
    """

    SAMPLES = 65536  # values kept of each batch: the median of a large set is then that of an even subsample

    def __init__(self, task: Task) -> None:
        self.task = task
        self._total = torch.zeros(task.channels, dtype=torch.float64)
        self._values: list[Tensor] = []
        self._fitted: Tensor | None = None

    def update(self, target: Tensor) -> None:
        """Take in a batch of targets."""
        mask = labelled(self.task, target)
        if self.task.kind in ("segmentation", "classification"):
            self._total += torch.bincount(target[mask], minlength=self.task.channels).double()
        elif self.task.kind == "normals":
            self._total += torch.nan_to_num(target).double().sum((0, 2, 3))
        else:
            values = target.squeeze(1)[mask]
            self._values.append(values[:: max(1, math.ceil(len(values) / self.SAMPLES))])

    def prediction(self) -> Tensor:
        """The network output that says so for every image: (C,)."""
        if self.task.kind in ("segmentation", "classification"):
            return F.one_hot(self._total.argmax(), self.task.channels).float()
        if self.task.kind == "normals":
            return F.normalize(self._total, dim=0).float()
        values = torch.cat(self._values) if self._values else torch.zeros(0)
        return values.median().view(1) if len(values) else torch.zeros(1)

    def like(self, target: Tensor) -> Tensor:
        """The prediction as a batch for `target`: (B, C, H, W), or (B, C). Nothing more can be taken in after."""
        if self._fitted is None:
            self._fitted = self.prediction()
        value = self._fitted.to(target.device)
        shape = (len(target), self.task.channels)
        if not self.task.dense:
            return value.expand(shape)
        return value.view(1, -1, 1, 1).expand(*shape, *target.shape[-2:])
