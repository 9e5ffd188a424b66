"""What selection, candidates and tuning compare: one number a network, on Delta's scale, with its standard error.

The score is the mean over tasks of the log of the relative gain over the constant predictor on the primary metric. A
difference of two scores is then, for small differences, the mean relative gain of one network over the other: what Delta
of the primary metrics says, whatever the reference. (Skill is not: of a mIoU of 10 a point is a tenth of the figure and a
ninetieth of the distance to 100.)
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mtlbench.deployed.evaluation import Evaluation, Metrics
from mtlbench.tasks import Task
from mtlbench.tasks.metric import figures, log_gain

GROUPS = 20  # of neighbouring images, one left out at a time


@dataclass(frozen=True)
class Score:
    """The score on a split, and its standard error over the split's images (by the jackknife)."""

    value: float
    error: float


def score(tasks: Sequence[Task], evaluation: Evaluation, constant: Metrics) -> Score:
    """The score of what was evaluated; NaN where no task has a gain, and the error NaN with fewer than two images."""
    value = _mean([_gain(t, evaluation.metrics[t.name], constant) for t in tasks])
    return Score(value, _error(tasks, evaluation.images, constant))


def _gain(task: Task, metrics: Mapping[str, float], constant: Metrics) -> float:
    name = task.primary.name
    return log_gain(task.primary, metrics[name], constant[task.name][name])


def _mean(gains: Sequence[float]) -> float:
    """Over the tasks that have a gain."""
    known = [g for g in gains if not math.isnan(g)]
    return sum(known) / len(known) if known else math.nan


def _error(tasks: Sequence[Task], images: Mapping[str, NDArray[np.float64]], constant: Metrics) -> float:
    """The delete-a-group jackknife: sqrt((G - 1) / G sum (s_g - mean s)^2), groups of neighbours left out in turn."""
    rows = {t.name: {k.partition("/")[2]: v for k, v in images.items() if k.startswith(f"{t.name}/")} for t in tasks}
    groups = min([GROUPS, *(len(v) for own in rows.values() for v in own.values())])
    if groups < 2:
        return math.nan
    scores = []
    for left_out in range(groups):
        gains = []
        for task in tasks:
            sums = {k: v.sum(0) - np.array_split(v, groups)[left_out].sum(0) for k, v in rows[task.name].items()}
            gains.append(_gain(task, figures([task.primary], sums), constant))
        scores.append(_mean(gains))
    deviations = np.square(np.array(scores) - np.mean(scores))
    return float(np.sqrt((groups - 1) / groups * deviations.sum()))
