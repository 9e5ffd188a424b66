"""No weights at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mtlbench.tasks import Task
from mtlbench.training.weighting import Weighting


class Equal(Weighting):
    """1 for every task, whatever the data set says."""

    name = "equal"

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, float]) -> None:
        super().__init__(tasks, {})
