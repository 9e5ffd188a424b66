"""What a metric is: a column's name, unit and direction, and the reduction that makes it. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from mtlbench.tasks.reductions import Reduction, Sums, reduce

LABEL_UNIT = "{unit}"
"""Stands in a metric's unit for the unit of the task's label."""


@dataclass(frozen=True)
class Metric:
    """One column of a table: `higher` says which way is better; exactly one metric of a task is `primary`.

    `counted` metrics enter the Delta over all metrics of a task; the others are shown beside it. `best` is the value of
    a perfect answer: by default 0 where lower is better, and 100 (per cent) where higher is.
    """

    name: str
    unit: str
    higher: bool
    reduction: Reduction
    primary: bool = False
    counted: bool = True
    best: float | None = None

    def data(self) -> dict[str, Any]:
        """The metric as a record keeps it."""
        return {**asdict(self), "reduction": self.reduction.data()}


class Directed(Protocol):
    """What skill needs of a metric, as a task declares it or as a record keeps it."""

    @property
    def higher(self) -> bool:
        """Whether more is better."""

    @property
    def best(self) -> float | None:
        """The value of a perfect answer."""


def perfect(metric: Directed) -> float:
    """The value of a perfect answer."""
    return metric.best if metric.best is not None else 100.0 if metric.higher else 0.0


def skill(metric: Directed, value: float, constant: float) -> float:
    """1 - e / e_constant: 0 is as good as the constant predictor, 1 is without error, negative is worse.

    The error e is the distance to a perfect answer (a percentage's to 100). NaN where the constant predictor is without
    error: its label never changes, nothing can be learned, and the task is left out of every score.
    """
    best = perfect(metric)
    error, room = (best - value, best - constant) if metric.higher else (value - best, constant - best)
    return 1.0 - error / room if room > 0.0 else math.nan


def log_gain(metric: Directed, value: float, constant: float) -> float:
    """The log of the relative gain over the constant predictor: differences of it are relative gains, as Delta's are.

    ln(value / constant) where more is better, ln(e_constant / e) of the errors (distances to a perfect answer) where less
    is, or where a perfect answer is 0 or less and values are no shares of it (a log-likelihood). A hundredth of a perfect
    value, or of the constant's error, is added to both, so that neither 0 is infinitely far; what is better than perfect
    counts as perfect. NaN as for `skill`.
    """
    best = perfect(metric)
    room = best - constant if metric.higher else constant - best
    if not room > 0.0:
        return math.nan
    if metric.higher and best > 0.0:
        return math.log((max(value, 0.0) + best / 100) / (max(constant, 0.0) + best / 100))
    error = best - value if metric.higher else value - best
    return math.log(1.01 * room / (max(error, 0.0) + room / 100))


def figures(metrics: Iterable[Metric], sums: Sums) -> dict[str, float]:
    """The metrics of summed statistics, each (k,); NaN where nothing was labelled."""
    return {m.name: float(reduce(m.reduction, sums)) for m in metrics}
