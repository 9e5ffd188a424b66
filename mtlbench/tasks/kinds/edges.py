"""Edges: a heat map of edges."""

from __future__ import annotations

from typing import ClassVar

from mtlbench.tasks.kinds.base import Values
from mtlbench.tasks.metric import LABEL_UNIT, Metric
from mtlbench.tasks.reductions import Mean


class Edges(Values):
    """A heat map of edges: L1; mean absolute error."""

    name = "edges"
    dense: ClassVar[bool] = True
    channels: ClassVar[int | None] = 1
    view: ClassVar[str] = "heat"
    metrics = (Metric("error", LABEL_UNIT, False, Mean("abs"), primary=True),)
