"""Keypoints: a heat map of interest points."""

from __future__ import annotations

from typing import ClassVar

from mtlbench.tasks.kinds.base import Values
from mtlbench.tasks.metric import LABEL_UNIT, Metric
from mtlbench.tasks.reductions import Mean


class Keypoints(Values):
    """A heat map of interest points: L1; mean absolute error."""

    name = "keypoints"
    dense: ClassVar[bool] = True
    channels: ClassVar[int | None] = 1
    view: ClassVar[str] = "heat"
    metrics = (Metric("error", LABEL_UNIT, False, Mean("abs"), primary=True),)
