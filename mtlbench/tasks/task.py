"""What a task is, and what its kind must say of it. A kind is a plug-in: one file in `mtlbench.tasks.kinds`, or a user's.

A label that is missing is -1 where labels are integers and NaN where they are real numbers, pixel by pixel; an image
without any label of a task carries nothing but those. Nothing here loads torch before a kind is used.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from mtlbench import plugins
from mtlbench.errors import ConfigError, PluginError, unknown
from mtlbench.tasks.metric import LABEL_UNIT, Metric

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

VOID = -1


class Constant(ABC):
    """The best answer that looks at no input, fitted on training labels: what every method has to beat."""

    def __init__(self, task: Task) -> None:
        self.task = task

    @abstractmethod
    def update(self, target: Tensor, mask: Tensor) -> None:
        """Take in a batch of targets; `mask` says where they carry a label."""

    @abstractmethod
    def prediction(self) -> Tensor:
        """The network output that says so for every image: (C,) float32."""


class Kind(ABC):
    """What a kind of task means: its loss, its metrics, what a label may be, how it is moved, drawn and said.

    A kind has no state; every method takes the task for its channels, classes and unit. Predictions are a network's
    output (B, C, H, W) at the label's resolution where the kind is `dense`, else (B, C). `Values` and `Classes` in
    `mtlbench.tasks.kinds` do most of it for labels of real numbers and of integers.
    """

    name: ClassVar[str]
    """What records and tables call it; not a registered name, for one of one's own."""
    metrics: ClassVar[tuple[Metric, ...]]
    """The columns of its tables, one of them primary; `{unit}` stands for the unit of the task's label."""
    dense: ClassVar[bool] = False
    """Whether there is one label a pixel rather than one an input."""
    channels: ClassVar[int | None] = None
    """The channels that every task of the kind has; None: any number."""
    integers: ClassVar[bool]
    """Whether labels are int64, missing ones -1, rather than float32, missing ones NaN."""
    likelihood: ClassVar[bool] = False
    """Whether the loss is a negative log-likelihood rather than a distance (uncertainty weighting halves distances)."""
    view: ClassVar[str] = ""
    """How `answer` is drawn, one of `mtlbench.tasks.pictures.VIEWS`; "" is not at all."""
    whole: ClassVar[frozenset[str]] = frozenset()
    """Statistics that are too large to be kept for each image; their metrics cannot be resampled."""
    constant: ClassVar[type[Constant]]
    """The best answer that looks at no input: skill is measured from there."""

    @abstractmethod
    def labelled(self, target: Tensor) -> Tensor:
        """Where a target carries a label: bool, (B, H, W) or (B,)."""

    def finished(self, prediction: Tensor) -> Tensor:
        """What an output means once it is resized to its label (normals become unit vectors)."""
        return prediction

    @abstractmethod
    def loss(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        """The loss of every labelled element, 0 elsewhere: of the mask's shape."""

    @abstractmethod
    def statistics(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """What each image adds to the sums that the metrics' reductions name: (B, k) float64 each."""

    def moved(
        self, target: Tensor, zoom: Tensor, mirror: Tensor, lengths: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """Values (B, C, H, W) of pixels whose image was zoomed (B, 1, 1, 1) and mirrored (B,) bool; may be in place.

        Where each pixel lies has been seen to. `lengths(value, zoom)` is what a zoom does to a length in this data set.
        """
        return target

    @abstractmethod
    def faults(self, task: Task, target: Tensor) -> Iterator[str]:
        """What about labels is out of their range."""

    @abstractmethod
    def example(self, task: Task, noise: Tensor) -> Tensor:
        """A target that follows from noise (B, 3, H, W) or (B, L): what the contract battery trains on."""

    def answer(self, task: Task, prediction: Tensor) -> NDArray[Any]:
        """An output as people see it, in the form that `view` draws: as it is, or classes, or probabilities."""
        found: NDArray[Any] = prediction.numpy()
        return found

    def say(self, task: Task, prediction: Tensor) -> str:
        """An answer (1, C) in words, for kinds that are not dense."""
        return ""


@dataclass(frozen=True)
class Task:
    """One task of a data set.

    `kind` is a registered name, a `file.py:Class` or `package.module:Class`, or the class itself of a kind of one's own;
    it reads as the kind's name after. `channels` is the width of the output: classes for segmentation and
    classification, 3 for normals, 1 for most others. `unit` is the label's unit (depth: m). `derived` marks labels
    computed from another task's labels. `origin` is where a kind that is not registered comes from.
    """

    name: str
    kind: str
    channels: int
    unit: str = ""
    derived: bool = False
    classes: tuple[str, ...] = ()
    origin: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.kind, str) or ":" in self.kind:
            spec = str(self.kind) if isinstance(self.kind, str) else getattr(self.kind, "__qualname__", str(self.kind))
            meaning = _made(plugins.load("kinds", spec) if isinstance(self.kind, str) else self.kind, spec)
            self.__dict__.update(kind=meaning.name, origin=origin(type(meaning)), meaning=meaning)
        elif not self.origin and self.kind not in plugins.names("kinds"):
            raise unknown("task kind", self.kind, plugins.names("kinds"))
        if self.channels < 1:
            raise ConfigError(f"task '{self.name}' has {self.channels} output channels (allowed: 1 or more)")

    def __getstate__(self) -> dict[str, Any]:
        """Without the kind, which another process loads anew: a user's file is known there by its place only."""
        return {name: value for name, value in self.__dict__.items() if name != "meaning"}

    @cached_property
    def meaning(self) -> Kind:
        """What the task's kind means."""
        spec = self.origin or self.kind
        return _made(plugins.load("kinds", spec), spec)

    @property
    def dense(self) -> bool:
        """Whether the label is an image rather than one value an input."""
        return self.meaning.dense

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics of the task's kind, in the label's unit where they have it."""
        return tuple(replace(m, unit=m.unit.replace(LABEL_UNIT, self.unit)) for m in self.meaning.metrics)

    @property
    def primary(self) -> Metric:
        """The one metric that scores, Deltas over one metric and the skill are made of."""
        return next(m for m in self.metrics if m.primary)


def _made(found: Any, spec: str) -> Kind:
    """The kind of a class; PluginError where it is none, lacks something, or has not one primary metric."""
    kind = plugins.checked(found, Kind, "kind of task", spec)  # type: ignore[type-abstract]
    given = dir(kind)
    lacks = [name for name in ("constant", "integers", "metrics") if name not in given]
    if lacks or kind.__abstractmethods__:
        raise PluginError(f"kind of task '{spec}' lacks {', '.join(sorted([*lacks, *kind.__abstractmethods__]))}")
    primary = [m.name for m in kind.metrics if m.primary]
    if len(primary) != 1:
        raise PluginError(
            f"kind of task '{spec}' has the primary metrics {', '.join(primary) or 'none'} (allowed: one)"
        )
    return kind()


def origin(kind: type[Kind]) -> str:
    """Where a kind comes from, as `plugins.load` takes it; "" for a registered one. PluginError where its name is taken."""
    if kind.name in plugins.names("kinds"):
        if plugins.load("kinds", kind.name) is kind:
            return ""
        raise PluginError(
            f"kind of task '{kind.__qualname__}' is called '{kind.name}', as a registered one (take another)"
        )
    file = getattr(sys.modules[kind.__module__], "__file__", None) if plugins.of_file(kind.__module__) else None
    return f"{file or kind.__module__}:{kind.__qualname__}"


def select_tasks(tasks: Sequence[Task], names: Sequence[str] | None) -> tuple[Task, ...]:
    """The named tasks in the order named, all of them for None; an unknown or repeated name is an error."""
    if names is None:
        return tuple(tasks)
    if not names:
        raise ConfigError("no task named (allowed: one or more of " + ", ".join(t.name for t in tasks) + ")")
    by_name: Mapping[str, Task] = {t.name: t for t in tasks}
    for name in names:
        if name not in by_name:
            raise unknown("task", name, by_name)
    if len(set(names)) < len(names):
        raise ConfigError(f"a task is named twice in '{','.join(names)}'")
    return tuple(by_name[n] for n in names)
