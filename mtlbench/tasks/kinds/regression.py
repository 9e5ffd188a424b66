"""Regression: one or more numbers for each input."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from mtlbench.tasks.kinds.base import Values
from mtlbench.tasks.kinds.constants import Mean as MeanValue
from mtlbench.tasks.metric import LABEL_UNIT, Metric
from mtlbench.tasks.reductions import Determination, RootMean
from mtlbench.tasks.task import Constant, Task


class Regression(Values):
    """Numbers for each input: squared error; root mean square error and R2."""

    name = "regression"
    view: ClassVar[str] = "value"
    constant: ClassVar[type[Constant]] = MeanValue
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("rmse", LABEL_UNIT, False, RootMean("square"), primary=True),
        Metric("r2", "", True, Determination(), counted=False, best=1.0),  # a function of the first
    )

    def distance(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction - target).square().mean(1)

    def statistics(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Of each channel, (B, C): how many labels, absolute and squared errors, and what R2 needs of the labels."""
        known = mask.unsqueeze(1).expand_as(target)
        label = torch.where(known, target, 0.0).double()
        error = torch.where(known, prediction.double() - label, 0.0)
        squares = {"square": error.square(), "label": label, "label_square": label.square()}
        return {"count": known.double(), "abs": error.abs(), **squares}
