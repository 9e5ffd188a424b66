"""Depth: a length, or another measure of distance, for each pixel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor

from mtlbench.tasks.kinds.base import Values, per_image
from mtlbench.tasks.metric import LABEL_UNIT, Metric
from mtlbench.tasks.reductions import Mean, RootMean
from mtlbench.tasks.task import Task

MIN_DEPTH = 1e-3
DELTAS = (1.25, 1.25**2, 1.25**3)
NAMES = ("delta_1.25", "delta_1.25^2", "delta_1.25^3")


class Depth(Values):
    """A distance for each pixel: L1; absolute, relative and root mean square error, and the deltas' shares of pixels."""

    name = "depth"
    dense: ClassVar[bool] = True
    channels: ClassVar[int | None] = 1
    view: ClassVar[str] = "near"
    metrics = (
        Metric("abs_error", LABEL_UNIT, False, Mean("abs"), primary=True),
        Metric("rel_error", "", False, Mean("relative")),
        Metric("rmse", LABEL_UNIT, False, RootMean("square"), counted=False),
        *(Metric(name, "%", True, Mean("delta", column=i, scale=100.0)) for i, name in enumerate(NAMES)),
    )

    def statistics(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Errors of the raw prediction; only the ratios of the deltas need one that is positive."""
        truth = torch.where(mask, target.squeeze(1).double(), 1.0)
        error = torch.where(mask, (prediction.squeeze(1).double() - truth).abs(), 0.0)
        truth = truth.clamp(min=MIN_DEPTH)
        guess = prediction.squeeze(1).double().clamp(min=MIN_DEPTH)
        ratio = torch.maximum(guess / truth, truth / guess)
        return {
            "count": per_image(mask),
            "abs": per_image(error),
            "square": per_image(error.square()),
            "relative": per_image(error / truth),
            "delta": torch.cat([per_image(mask & (ratio < limit)) for limit in DELTAS], 1),
        }

    def moved(
        self, target: Tensor, zoom: Tensor, mirror: Tensor, lengths: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        return lengths(target, zoom) if bool((zoom != 1).any()) else target

    def faults(self, task: Task, target: Tensor) -> Iterator[str]:
        yield from super().faults(task, target)
        if bool((target <= 0).any()):
            yield f"has depth {target[target <= 0][0].item():g} (above 0, or NaN for none, is expected)"
