"""Metrics over a whole split, from sums that each image contributes: never an average of batch averages.

`statistics` gives one row of sufficient statistics an image; rows add up, over batches, splits or bootstrap resamples,
and `summarise` turns a sum into the metrics. Percentages are in 0..100, angles in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.losses import labelled, to_label
from mtlbench.tasks import VOID, Task

MIN_DEPTH = 1e-3
ANGLE_BIN = 0.05  # degrees: the median's resolution
ANGLES = (11.25, 22.5, 30.0)
DELTAS = (1.25, 1.25**2, 1.25**3)
HISTOGRAM = "angle_histogram"

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


def summarise(task: Task, sums: Mapping[str, Tensor]) -> dict[str, float]:
    """The metrics of a task from summed statistics, each (k,); NaN for all of them where nothing was labelled."""
    if task.kind == "segmentation":
        return _summarise_segmentation(sums)
    count = float(sums["count"][0])
    if count == 0:
        return {m.name: math.nan for m in task.metrics}
    if task.kind == "classification":
        return {"accuracy": 100 * float(sums["intersection"].sum()) / count}
    if task.kind == "normals":
        shares = 100 * sums["within"] / count
        return {
            "mean_angle": float(sums["angle"][0]) / count,
            "median_angle": histogram_median(sums[HISTOGRAM]) if HISTOGRAM in sums else math.nan,
            **{f"within_{a:g}": float(s) for a, s in zip(ANGLES, shares, strict=True)},
        }
    mean = float(sums["abs"][0]) / count
    if task.kind != "depth":
        return {"error": mean}
    deltas = 100 * sums["delta"] / count
    names = ("delta_1.25", "delta_1.25^2", "delta_1.25^3")
    relative = float(sums["relative"][0]) / count
    return {"abs_error": mean, "rel_error": relative, **{n: float(d) for n, d in zip(names, deltas, strict=True)}}


def histogram_median(histogram: Tensor) -> float:
    """The median of angles from their histogram (bins of ANGLE_BIN degrees), linear inside its bin."""
    cumulative = histogram.cumsum(0)
    half = float(cumulative[-1]) / 2
    index = int(torch.searchsorted(cumulative, torch.tensor(half, dtype=cumulative.dtype)))
    before = float(cumulative[index - 1]) if index else 0.0
    return ANGLE_BIN * (index + (half - before) / max(float(histogram[index]), 1.0))


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


def _summarise_segmentation(sums: Mapping[str, Tensor]) -> dict[str, float]:
    """mIoU over the classes present in the ground truth, a class that is never hit counting 0, and pixel accuracy."""
    hit, truth, predicted = sums["intersection"], sums["truth"], sums["predicted"]
    present = truth > 0
    if not bool(present.any()):
        return {"miou": math.nan, "pixel_accuracy": math.nan}
    iou = hit[present] / (truth + predicted - hit)[present]
    return {"miou": 100 * float(iou.mean()), "pixel_accuracy": 100 * float(hit.sum() / truth.sum())}


def _angles(prediction: Tensor, target: Tensor, mask: Tensor) -> Statistics:
    truth = F.normalize(torch.nan_to_num(target), dim=1)
    cosine = F.cosine_similarity(prediction.double(), truth.double(), dim=1).clamp(-1, 1)
    angle = torch.rad2deg(torch.acos(cosine))  # (B, H, W)
    within = torch.stack([_per_image(mask & (angle < limit)) for limit in ANGLES], 1).squeeze(2)
    bins = int(round(180 / ANGLE_BIN))
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
    guess = prediction.squeeze(1).double().clamp(min=MIN_DEPTH)
    truth = torch.where(mask, target.squeeze(1).double(), 1.0).clamp(min=MIN_DEPTH)
    ratio = torch.maximum(guess / truth, truth / guess)
    relative = (guess - truth).abs() / truth
    return {
        "abs": _per_image(torch.where(mask, (guess - truth).abs(), 0.0)),
        "relative": _per_image(torch.where(mask, relative, 0.0)),
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
        """The prediction as a batch for `target`: (B, C, H, W), or (B, C)."""
        value = self.prediction().to(target.device)
        shape = (len(target), self.task.channels)
        if not self.task.dense:
            return value.expand(shape)
        return value.view(1, -1, 1, 1).expand(*shape, *target.shape[-2:])


__all__ = ["VOID", "ConstantPredictor", "Statistics", "histogram_median", "statistics", "summarise"]
