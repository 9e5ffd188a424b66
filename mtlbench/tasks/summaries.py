"""From summed statistics to metrics, in numpy: the report resamples images with it and must not load torch.

Statistics are those of `mtlbench.tasks.metrics.statistics`, added up over images. Percentages are in 0..100, angles in degrees.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

ANGLE_BIN = 0.05  # degrees: the median's resolution
ANGLES = (11.25, 22.5, 30.0)
DELTAS = (1.25, 1.25**2, 1.25**3)
HISTOGRAM = "angle_histogram"

Sums = Mapping[str, NDArray[Any]]


def summarise(kind: str, sums: Sums) -> dict[str, float]:
    """The metrics of a task of this kind from summed statistics, each (k,); NaN where nothing was labelled.

    Without an angle histogram (the kept per-image statistics have none) the median angle is NaN.
    """
    metrics = {name: float(value) for name, value in summarise_many(kind, sums).items()}
    if HISTOGRAM in sums:
        metrics["median_angle"] = histogram_median(sums[HISTOGRAM])
    return metrics


def summarise_many(kind: str, sums: Sums) -> dict[str, NDArray[Any]]:
    """The same for a stack of sums, (..., k) each: every metric is (...). The median angle is always NaN here."""
    if kind == "segmentation":
        return _segmentation(sums)
    count = np.where(sums["count"][..., 0] > 0, sums["count"][..., 0], np.nan)
    if kind == "classification":
        return {"accuracy": 100 * sums["intersection"].sum(-1) / count}
    if kind == "normals":
        within = {f"within_{a:g}": 100 * sums["within"][..., i] / count for i, a in enumerate(ANGLES)}
        return {"mean_angle": sums["angle"][..., 0] / count, "median_angle": np.full(count.shape, np.nan), **within}
    mean = sums["abs"][..., 0] / count
    if kind != "depth":
        return {"error": mean}
    names = ("delta_1.25", "delta_1.25^2", "delta_1.25^3")
    deltas = {name: 100 * sums["delta"][..., i] / count for i, name in enumerate(names)}
    # Statistics kept before the root mean square was measured have no squares.
    rmse = np.sqrt(sums["square"][..., 0] / count) if "square" in sums else np.full(count.shape, np.nan)
    return {"abs_error": mean, "rel_error": sums["relative"][..., 0] / count, "rmse": rmse, **deltas}


def _segmentation(sums: Sums) -> dict[str, NDArray[Any]]:
    """mIoU over the classes present in the ground truth, a class that is never hit counting 0, and pixel accuracy."""
    hit, truth, predicted = sums["intersection"], sums["truth"], sums["predicted"]
    present = truth > 0
    iou = np.where(present, hit / np.where(present, truth + predicted - hit, 1), 0)
    classes, pixels = present.sum(-1), truth.sum(-1)
    some = classes > 0
    miou = np.where(some, 100 * iou.sum(-1) / np.where(some, classes, 1), np.nan)
    return {"miou": miou, "pixel_accuracy": np.where(some, 100 * hit.sum(-1) / np.where(some, pixels, 1), np.nan)}


def histogram_median(histogram: NDArray[Any]) -> float:
    """The median of angles from their histogram (bins of ANGLE_BIN degrees), linear inside its bin."""
    cumulative = np.cumsum(histogram)
    if not len(cumulative) or cumulative[-1] == 0:
        return math.nan
    half = cumulative[-1] / 2
    index = int(np.searchsorted(cumulative, half))
    before = cumulative[index - 1] if index else 0.0
    return float(ANGLE_BIN * (index + (half - before) / max(histogram[index], 1.0)))
