"""From summed statistics to metrics, in numpy: the report resamples images with it and must not load torch.

Statistics are those of `mtlbench.metrics.statistics`, added up over images. Percentages are in 0..100, angles in degrees.
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
    if kind == "segmentation":
        return _segmentation(sums)
    count = float(sums["count"][0]) or math.nan
    if kind == "classification":
        return {"accuracy": 100 * float(sums["intersection"].sum()) / count}
    if kind == "normals":
        within = {f"within_{a:g}": 100 * float(s) / count for a, s in zip(ANGLES, sums["within"], strict=True)}
        median = histogram_median(sums[HISTOGRAM]) if HISTOGRAM in sums else math.nan
        return {"mean_angle": float(sums["angle"][0]) / count, "median_angle": median, **within}
    mean = float(sums["abs"][0]) / count
    if kind != "depth":
        return {"error": mean}
    names = ("delta_1.25", "delta_1.25^2", "delta_1.25^3")
    deltas = {name: 100 * float(d) / count for name, d in zip(names, sums["delta"], strict=True)}
    return {"abs_error": mean, "rel_error": float(sums["relative"][0]) / count, **deltas}


def _segmentation(sums: Sums) -> dict[str, float]:
    """mIoU over the classes present in the ground truth, a class that is never hit counting 0, and pixel accuracy."""
    hit, truth, predicted = sums["intersection"], sums["truth"], sums["predicted"]
    present = truth > 0
    if not present.any():
        return {"miou": math.nan, "pixel_accuracy": math.nan}
    iou = hit[present] / (truth + predicted - hit)[present]
    return {"miou": 100 * float(iou.mean()), "pixel_accuracy": 100 * float(hit.sum() / truth.sum())}


def histogram_median(histogram: NDArray[Any]) -> float:
    """The median of angles from their histogram (bins of ANGLE_BIN degrees), linear inside its bin."""
    cumulative = np.cumsum(histogram)
    if not len(cumulative) or cumulative[-1] == 0:
        return math.nan
    half = cumulative[-1] / 2
    index = int(np.searchsorted(cumulative, half))
    before = cumulative[index - 1] if index else 0.0
    return float(ANGLE_BIN * (index + (half - before) / max(histogram[index], 1.0)))
