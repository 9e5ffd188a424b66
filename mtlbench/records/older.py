"""What records did not say of a kind of task before kinds were plug-ins: how its metrics come from sums, how it is drawn.

Written once and never changed: an old record means what it meant. `mtlbench.tasks.reductions` reads the reductions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Data = dict[str, Any]


def _mean(of: str, over: str = "count", column: int | None = None, scale: float = 1.0, by: str = "mean") -> Data:
    return {"by": by, "of": of, "over": over, "column": column, "scale": scale}


def _shares(of: str, names: tuple[str, ...]) -> dict[str, Data]:
    return {name: _mean(of, column=i, scale=100.0) for i, name in enumerate(names)}


_IOU: Data = {"by": "iou", "hit": "intersection", "truth": "truth", "predicted": "predicted"}
_MEDIAN: Data = {"by": "quantile", "of": "angle_histogram", "width": 0.05, "low": 0.0, "q": 0.5}

REDUCTIONS: Mapping[str, Mapping[str, Data]] = {
    "segmentation": {"miou": _IOU, "pixel_accuracy": _mean("intersection", "truth", scale=100.0)},
    "normals": {
        "mean_angle": _mean("angle"),
        "median_angle": _MEDIAN,
        **_shares("within", ("within_11.25", "within_22.5", "within_30")),
    },
    "depth": {
        "abs_error": _mean("abs"),
        "rel_error": _mean("relative"),
        "rmse": _mean("square", by="root-mean"),
        **_shares("delta", ("delta_1.25", "delta_1.25^2", "delta_1.25^3")),
    },
    "keypoints": {"error": _mean("abs")},
    "edges": {"error": _mean("abs")},
    "classification": {"accuracy": _mean("intersection", scale=100.0)},
}
VIEWS: Mapping[str, str] = {
    "segmentation": "classes",
    "normals": "directions",
    "depth": "near",
    "keypoints": "heat",
    "edges": "heat",
    "classification": "class",
}
