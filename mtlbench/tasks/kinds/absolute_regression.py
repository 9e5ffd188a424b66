"""Regression by absolute error, which outliers move less."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from mtlbench.tasks.kinds.constants import Median
from mtlbench.tasks.kinds.regression import Regression
from mtlbench.tasks.metric import LABEL_UNIT, Metric
from mtlbench.tasks.reductions import Determination, Mean, RootMean
from mtlbench.tasks.task import Constant


class AbsoluteRegression(Regression):
    """Numbers for each input: absolute error; mean absolute and root mean square error, and R2."""

    name = "regression-l1"
    constant: ClassVar[type[Constant]] = Median
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("mae", LABEL_UNIT, False, Mean("abs"), primary=True),
        Metric("rmse", LABEL_UNIT, False, RootMean("square"), counted=False),
        Metric("r2", "", True, Determination(), counted=False, best=1.0),
    )

    def distance(self, prediction: Tensor, target: Tensor) -> Tensor:
        return (prediction - target).abs().mean(1)
