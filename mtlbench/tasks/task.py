"""What a task is: its kind, its output channels and its metrics. Losses and metrics are pure functions of a task's kind.

A label that is missing is -1 where labels are integers and NaN where they are real numbers, pixel by pixel; an image
without any label of a task carries nothing but those.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mtlbench.errors import ConfigError, unknown

VOID = -1


@dataclass(frozen=True)
class Metric:
    """One column of a table: `higher` says which way is better; exactly one metric of a task is `primary`.

    `counted` metrics enter the Delta over all metrics of a task; the others are shown beside it.
    """

    name: str
    unit: str
    higher: bool
    primary: bool = False
    counted: bool = True


_DEPTH = (
    Metric("abs_error", "", higher=False, primary=True),
    Metric("rel_error", "", higher=False),
    Metric("rmse", "", higher=False, counted=False),
    Metric("delta_1.25", "%", higher=True),
    Metric("delta_1.25^2", "%", higher=True),
    Metric("delta_1.25^3", "%", higher=True),
)
_NORMALS = (
    Metric("mean_angle", "deg", higher=False, primary=True),
    Metric("median_angle", "deg", higher=False),
    Metric("within_11.25", "%", higher=True),
    Metric("within_22.5", "%", higher=True),
    Metric("within_30", "%", higher=True),
)
KINDS: Mapping[str, tuple[Metric, ...]] = {
    "segmentation": (Metric("miou", "%", True, primary=True), Metric("pixel_accuracy", "%", True)),
    "normals": _NORMALS,
    "depth": _DEPTH,
    "keypoints": (Metric("error", "", False, primary=True),),
    "edges": (Metric("error", "", False, primary=True),),
    "classification": (Metric("accuracy", "%", True, primary=True),),
}
DENSE = frozenset(KINDS) - {"classification"}
"""Kinds with one label a pixel; the others have one label an input."""
_LABEL_UNIT = frozenset({"abs_error", "rmse", "error"})  # metrics in the label's own unit


@dataclass(frozen=True)
class Task:
    """One task of a data set.

    `channels` is the width of its output: classes for segmentation and classification, 3 for normals, 1 for the other
    kinds. `unit` is the label's unit (depth: m). `derived` marks labels computed from another task's labels.
    """

    name: str
    kind: str
    channels: int
    unit: str = ""
    derived: bool = False
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise unknown("task kind", self.kind, KINDS)
        if self.channels < 1:
            raise ConfigError(f"task '{self.name}' has {self.channels} output channels (allowed: 1 or more)")

    @property
    def dense(self) -> bool:
        """Whether the label is an image rather than one value an input."""
        return self.kind in DENSE

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of the task's kind, in the label's unit where they have it."""
        return tuple(replace(m, unit=self.unit) if m.name in _LABEL_UNIT else m for m in KINDS[self.kind])

    @property
    def primary(self) -> Metric:
        """The one metric that scores, Deltas over one metric and the skill are made of."""
        return next(m for m in self.metrics if m.primary)


def select_tasks(tasks: Sequence[Task], names: Sequence[str] | None) -> tuple[Task, ...]:
    """The named tasks in the order named, all of them for None; an unknown or repeated name is an error."""
    if names is None:
        return tuple(tasks)
    if not names:
        raise ConfigError("no task named (allowed: one or more of " + ", ".join(t.name for t in tasks) + ")")
    by_name = {t.name: t for t in tasks}
    for name in names:
        if name not in by_name:
            raise unknown("task", name, by_name)
    if len(set(names)) < len(names):
        raise ConfigError(f"a task is named twice in '{','.join(names)}'")
    return tuple(by_name[n] for n in names)


def skill(metric: Metric, value: float, constant: float) -> float:
    """1 - e / e_constant: 0 is as good as the constant predictor, 1 is without error, negative is worse.

    The error e of a percentage is its distance to 100. NaN where the constant predictor is without error: its label never
    changes, nothing can be learned, and the task is left out of every score.
    """
    error, room = (100.0 - value, 100.0 - constant) if metric.higher else (value, constant)
    return 1.0 - error / room if room > 0.0 else math.nan
