"""Segmentation: a class for each pixel."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from mtlbench.tasks.kinds.base import Classes
from mtlbench.tasks.metric import Metric
from mtlbench.tasks.reductions import Array, IntersectionOverUnion, Mean
from mtlbench.tasks.task import Task


class Segmentation(Classes):
    """A class for each pixel: cross-entropy; mean intersection over union and pixel accuracy."""

    name = "segmentation"
    dense: ClassVar[bool] = True
    view: ClassVar[str] = "classes"
    metrics = (
        Metric("miou", "%", True, IntersectionOverUnion(), primary=True),
        Metric("pixel_accuracy", "%", True, Mean("intersection", "truth", scale=100.0)),
    )

    def answer(self, task: Task, prediction: Tensor) -> Array:
        """The classes, (B, H, W)."""
        found: Array = prediction.numpy().argmax(1)
        return found
