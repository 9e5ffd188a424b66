"""How a figure comes from sums over images. A reduction is data: it stands in the record, and the report runs no other code.

Sums are arrays (..., k) by name; a reduction of them is (...), NaN where nothing was labelled. In numpy: no torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mtlbench.errors import unknown

Array = NDArray[Any]
Sums = Mapping[str, Array]


class Reduction(ABC):
    """From sums to one figure. A sum that was not kept gives NaN."""

    by: ClassVar[str]

    @abstractmethod
    def figure(self, sums: Sums) -> Array:
        """The figure of each stack of sums: (..., k) -> (...). LookupError or ValueError where they do not fit."""

    def data(self) -> dict[str, Any]:
        """The reduction as a record keeps it."""
        return {"by": self.by, **asdict(self)}  # type: ignore[call-overload]


@dataclass(frozen=True)
class Mean(Reduction):
    """scale * of / over: `of` summed over its columns, or one `column` of it, over the sum `over` of all columns."""

    by: ClassVar[str] = "mean"
    of: str
    over: str = "count"
    column: int | None = None
    scale: float = 1.0

    def figure(self, sums: Sums) -> Array:
        count = sums[self.over].sum(-1)
        total = sums[self.of].sum(-1) if self.column is None else sums[self.of][..., self.column]
        return np.asarray(self.scale * total / np.where(count > 0, count, np.nan))


@dataclass(frozen=True)
class RootMean(Mean):
    """The square root of a mean."""

    by: ClassVar[str] = "root-mean"

    def figure(self, sums: Sums) -> Array:
        return np.asarray(np.sqrt(super().figure(sums)))


@dataclass(frozen=True)
class ClassMean(Reduction):
    """A mean over the classes that occur in the truth, in percent; a class that is never hit counts 0.

    `hit`, `truth` and `predicted` are (..., classes): right, truly and as predicted.
    """

    hit: str = "intersection"
    truth: str = "truth"
    predicted: str = "predicted"

    def figure(self, sums: Sums) -> Array:
        hit, truth, predicted = sums[self.hit], sums[self.truth], sums[self.predicted]
        present = truth > 0
        each = np.where(present, self.each(hit, truth, predicted, present), 0)
        classes = present.sum(-1)
        some = classes > 0
        return np.where(some, 100 * each.sum(-1) / np.where(some, classes, 1), np.nan)

    @abstractmethod
    def each(self, hit: Array, truth: Array, predicted: Array, present: Array) -> Array:
        """Every class's own figure, in 0..1; anything where it is not `present`."""


@dataclass(frozen=True)
class IntersectionOverUnion(ClassMean):
    """Mean intersection over union (mIoU)."""

    by: ClassVar[str] = "iou"

    def each(self, hit: Array, truth: Array, predicted: Array, present: Array) -> Array:
        return np.asarray(hit / np.where(present, truth + predicted - hit, 1))


@dataclass(frozen=True)
class F1(ClassMean):
    """Macro F1: the mean over classes of 2 hits / (truth + predicted)."""

    by: ClassVar[str] = "f1"

    def each(self, hit: Array, truth: Array, predicted: Array, present: Array) -> Array:
        return np.asarray(2 * hit / np.where(present, truth + predicted, 1))


@dataclass(frozen=True)
class Quantile(Reduction):
    """The q-quantile of values from their histogram in bins of `width` from `low`, linear inside its bin."""

    by: ClassVar[str] = "quantile"
    of: str
    width: float
    low: float = 0.0
    q: float = 0.5

    def figure(self, sums: Sums) -> Array:
        histogram = sums[self.of]
        cumulative = np.cumsum(histogram, -1)
        wanted = cumulative[..., -1] * self.q
        index = np.minimum((cumulative < wanted[..., None]).sum(-1), histogram.shape[-1] - 1)[..., None]
        inside = np.take_along_axis(histogram, index, -1)[..., 0]
        before = np.take_along_axis(cumulative, index, -1)[..., 0] - inside
        place = index[..., 0] + (wanted - before) / np.maximum(inside, 1.0)
        return np.where(cumulative[..., -1] > 0, self.low + self.width * place, np.nan)


@dataclass(frozen=True)
class Determination(Reduction):
    """R2, the mean over columns of 1 - squared errors / squared distances to the labels' mean; 1 is perfect.

    `square` sums squared errors, `label` and `label_square` the labels and their squares, (..., columns) each. NaN
    where a label never changes.
    """

    by: ClassVar[str] = "r2"
    square: str = "square"
    label: str = "label"
    label_square: str = "label_square"
    over: str = "count"

    def figure(self, sums: Sums) -> Array:
        count = sums[self.over]
        count = np.where(count > 0, count, np.nan)
        spread = sums[self.label_square] - sums[self.label] ** 2 / count
        changes = spread > 1e-13 * np.maximum(sums[self.label_square], 1e-300)  # below it only rounding is left
        each = np.where(changes, 1 - sums[self.square] / np.where(changes, spread, 1), np.nan)
        return np.asarray(each.mean(-1))


@dataclass(frozen=True)
class QuadraticKappa(Reduction):
    """Cohen's kappa with quadratic weights, from a flattened confusion matrix (..., levels^2): truth by prediction."""

    by: ClassVar[str] = "quadratic-kappa"
    of: str = "confusion"

    def figure(self, sums: Sums) -> Array:
        levels = round(sums[self.of].shape[-1] ** 0.5)
        table = sums[self.of].reshape(*sums[self.of].shape[:-1], levels, levels)
        apart = (np.arange(levels)[:, None] - np.arange(levels)) ** 2
        total = table.sum((-2, -1))
        chance = (
            table.sum(-1)[..., :, None] * table.sum(-2)[..., None, :] / np.where(total > 0, total, 1)[..., None, None]
        )
        found, expected = (table * apart).sum((-2, -1)), (chance * apart).sum((-2, -1))
        return np.where(expected > 0, 1 - found / np.where(expected > 0, expected, 1), np.nan)


@dataclass(frozen=True)
class AveragePrecision(Reduction):
    """Mean average precision in percent over the labels that occur, from histograms of scores in `bins` rising bins.

    `yes` and `no` are (..., labels * bins): the items that have a label and those that lack it, by their score's bin.
    The precision at each bin's lower edge times the recall gained there, summed.
    """

    by: ClassVar[str] = "average-precision"
    bins: int
    yes: str = "yes_histogram"
    no: str = "no_histogram"

    def figure(self, sums: Sums) -> Array:
        yes, no = (s.reshape(*s.shape[:-1], -1, self.bins)[..., ::-1] for s in (sums[self.yes], sums[self.no]))
        right, wrong = yes.cumsum(-1), no.cumsum(-1)
        precision = right / np.maximum(right + wrong, 1)
        truth = right[..., -1]  # (..., labels)
        each = (precision * yes).sum(-1) / np.where(truth > 0, truth, 1)
        occur = (truth > 0).sum(-1)
        return np.where(occur > 0, 100 * each.sum(-1) / np.maximum(occur, 1), np.nan)


KNOWN: Mapping[str, type[Reduction]] = {
    r.by: r
    for r in (Mean, RootMean, IntersectionOverUnion, F1, Quantile, Determination, QuadraticKappa, AveragePrecision)
}


def parse(data: Mapping[str, Any]) -> Reduction:
    """A reduction as a record keeps it; ValueError where it is none of those known."""
    by = str(data.get("by", ""))
    found = KNOWN.get(by)
    if found is None:
        raise ValueError(str(unknown("reduction", by, KNOWN)))
    given = {name: value for name, value in data.items() if name != "by"}
    names = {f.name for f in fields(found)}  # type: ignore[arg-type]
    if not given.keys() <= names or not all(isinstance(v, str | int | float | None) for v in given.values()):
        raise ValueError(f"reduction '{found.by}' is {given} (allowed: {', '.join(sorted(names))})")
    missing = [f.name for f in fields(found) if f.default is MISSING and f.name not in given]  # type: ignore[arg-type]
    if missing:
        raise ValueError(f"reduction '{found.by}' lacks {', '.join(missing)}")
    return found(**given)


def kept(reduction: Reduction, sums: Container[str]) -> bool:
    """Whether every sum is there that a reduction needs."""
    return all(name in sums for name in vars(reduction).values() if isinstance(name, str))


def reduce(reduction: Reduction, sums: Sums) -> Array:
    """The figure of each stack of sums, (..., k) each: (...); NaN where a sum it needs was not kept."""
    if not kept(reduction, sums):
        return np.full(next(iter(sums.values())).shape[:-1] if sums else (), np.nan)
    with np.errstate(divide="ignore", invalid="ignore"):
        return reduction.figure(sums)
