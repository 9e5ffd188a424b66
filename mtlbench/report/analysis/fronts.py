"""The front over the tasks' weights: studies that differ in fixed weights alone, whoever made them, and what each reaches.

Fixed weights that are tuned match what balances tasks by other means (Kurin et al., Xin et al., NeurIPS 2022), so the points
that hard sharing reaches over its weights are the line that another way to share has to beat.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

from mtlbench.records import MetricInfo, TaskInfo
from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import Aggregate, Line, Series, mean, primary
from mtlbench.report.analysis.statistics import ALPHA, EMPTY, Paired, Summary
from mtlbench.report.text import as_float

ORDER = {"independent": 0, "shared": 1}
MOST_TASKS = 4  # whose reach is worked out: a volume takes time in the power of their number

Vector = tuple[float, ...]  # a figure a task, turned so that more is better


@dataclass(frozen=True)
class Point:
    """A row at one weighting: each task's share of the weight; None where the record leaves the data set's own."""

    line: Line
    shares: Vector | None
    vectors: Mapping[int, Vector]  # by seed: the primary metrics, turned so that more is better

    @property
    def middle(self) -> Vector:
        """The mean over the seeds."""
        return tuple(sum(x) / len(x) for x in zip(*self.vectors.values(), strict=True))


@dataclass(frozen=True)
class Reach:
    """What a method reaches over its weights, and that less what hard sharing reaches over the same ones."""

    label: str
    points: int
    reach: Summary
    gain: Paired


@dataclass(frozen=True)
class Front:
    """Studies that differ in the tasks' weights alone; `curves` holds each row's points, its label before them."""

    studies: tuple[Aggregate, ...]
    metrics: tuple[tuple[TaskInfo, MetricInfo], ...]
    curves: Mapping[str, tuple[Point, ...]]

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"front-{min(r.study.name for r in self.studies)}"

    @property
    def seeds(self) -> int:
        """Of the study that has the most."""
        return max(len(r.study.seeds) for r in self.studies)

    @property
    def shared(self) -> str | None:
        """The label of hard sharing's row: of several the one with the most points."""
        own = [label for label, points in self.curves.items() if points[0].line.row.anchor == "shared"]
        return max(own, key=lambda label: len(self.curves[label]), default=None)

    @cached_property
    def box(self) -> tuple[Vector, Vector]:
        """The worst and the best mean figure of each task, over all points."""
        means = [p.middle for points in self.curves.values() for p in points]
        return tuple(map(min, zip(*means, strict=True))), tuple(map(max, zip(*means, strict=True)))

    def beyond(self, point: Point) -> Summary:
        """Percent by which no weighting of hard sharing is as good in every task at once, over seeds.

        For each of hard sharing's points the task in which this one is furthest ahead of it, and of these the least: above 0
        nothing of hard sharing is as good in every task, below 0 something of it is better in all of them.
        """
        if self.shared is None or self.shared == point.line.label:
            return EMPTY
        others = [p.vectors for p in self.curves[self.shared]]
        found = {}
        for seed, own in point.vectors.items():
            ahead = [_ahead(own, other[seed]) for other in others if seed in other]
            if len(ahead) == len(others):
                found[seed] = min(ahead)
        return mean(found)

    def reaches(self) -> list[Reach]:
        """Each row's reach over the weights that hard sharing has too, corrected over the rows (Holm); [] where none has."""
        if self.shared is None or len(self.metrics) > MOST_TASKS:
            return []
        base = {p.shares: p for p in self.curves[self.shared] if p.shares}
        found = []
        for label, points in self.curves.items():
            own = [p for p in points if p.shares in base]
            if len(own) > 1:
                mine, theirs = self._reach(own), self._reach([base[p.shares] for p in own if p.shares])
                common = sorted(mine.keys() & theirs.keys())
                test = statistics.paired([mine[s] for s in common], [theirs[s] for s in common])
                found.append(Reach(label, len(own), mean(mine), Paired(EMPTY) if label == self.shared else test))
        return _corrected(found)

    def _reach(self, points: Sequence[Point]) -> Series:
        """By seed: the share of the box that these points leave behind them."""
        low, high = self.box
        if any(a == b for a, b in zip(low, high, strict=True)):
            return {}
        by_seed = [p.vectors for p in points]
        common = set.intersection(*(set(v) for v in by_seed))
        return {s: volume([_placed(v[s], low, high) for v in by_seed]) for s in sorted(common)}


def fronts(results: Iterable[Aggregate]) -> list[Front]:
    """The families of studies with fixed weights, in which some row has two or more weightings."""
    families: dict[str, list[Aggregate]] = defaultdict(list)
    for result in results:
        study = result.study
        if len(study.tasks) > 1 and study.config.get("weighting", "fixed") == "fixed" and not study.trials:
            config = {k: v for k, v in study.config.items() if k != "weights"}
            data = [config, study.streams, study.device, study.fingerprint]
            families[json.dumps(data, sort_keys=True, default=str)].append(result)
    found = [_front(family) for family in families.values() if len(family) > 1]
    return sorted((f for f in found if f is not None), key=lambda f: f.name)


def _front(family: Sequence[Aggregate]) -> Front | None:
    tasks = family[0].study.tasks
    metrics = tuple((t, m) for t in tasks if (m := primary(t)) is not None)
    curves: dict[str, list[Point]] = defaultdict(list)
    for result in family:
        shares = _shares(result.study.config.get("weights"), [t.name for t in tasks])
        for line in result.lines:
            if line.row.role == "study" and (vectors := _vectors(line, metrics)):
                curves[line.label].append(Point(line, shares, vectors))
    if len(metrics) < 2 or not any(len(points) > 1 for points in curves.values()):
        return None
    order = sorted(curves, key=lambda label: (ORDER.get(curves[label][0].line.row.anchor or "", 2), label))
    return Front(tuple(family), metrics, {label: tuple(sorted(curves[label], key=_place)) for label in order})


def _vectors(line: Line, metrics: Sequence[tuple[TaskInfo, MetricInfo]]) -> dict[int, Vector]:
    """By seed: the primary metrics, turned so that more is better."""
    series = [(line.values.get((t.name, m.name), {}), 1.0 if m.higher else -1.0) for t, m in metrics]
    common = set.intersection(*(set(s) for s, _ in series)) if series else set()
    return {seed: tuple(sign * s[seed] for s, sign in series) for seed in sorted(common)}


def _place(point: Point) -> tuple[bool, Vector]:
    """By the share of the last task, and so on; unknown shares last."""
    return point.shares is None, tuple(reversed(point.shares or ()))


def _shares(weights: object, tasks: Sequence[str]) -> Vector | None:
    """Each task's share of the weight, where a record names the weights of all."""
    known = [as_float(weights.get(t)) for t in tasks] if isinstance(weights, Mapping) else [None]
    values = [w for w in known if w is not None and w >= 0]
    total = sum(values)
    return tuple(round(w / total, 4) for w in values) if len(values) == len(tasks) and total > 0 else None


def _ahead(own: Vector, other: Vector) -> float:
    """Percent of the other's figure, in the task where it is most."""
    return max((100 * (a - b) / abs(b) if b else 0.0) for a, b in zip(own, other, strict=True))


def _placed(point: Vector, low: Vector, high: Vector) -> Vector:
    """A point in the box, whose worst corner is 0 and whose best is 1; what is worse than the worst is 0."""
    return tuple(max((x - a) / (b - a), 0.0) for x, a, b in zip(point, low, high, strict=True))


def volume(points: Sequence[Vector]) -> float:
    """The volume between the origin and these points: of all that some point is at least as good as (hypervolume).

    Cut into slabs along the last coordinate, each as large as the points above it are in the others.
    """
    if not points:
        return 0.0
    if len(points[0]) == 1:
        return max(p[0] for p in points)
    cuts = sorted({0.0, *(p[-1] for p in points)})
    slabs = pairwise(cuts)
    return sum((b - a) * volume([p[:-1] for p in points if p[-1] >= b]) for a, b in slabs)


def unbeaten(points: Sequence[Vector]) -> list[Vector]:
    """The points that no other one is at least as good as in every coordinate."""
    return [p for p in points if not any(q != p and all(b >= a for a, b in zip(p, q, strict=True)) for q in points)]


def _corrected(found: Sequence[Reach]) -> list[Reach]:
    fixed = statistics.holm([r.gain.p for r in found])
    level = ALPHA / max(sum(r.gain.p == r.gain.p for r in found), 1)
    return [replace(r, gain=r.gain.within(p, level)) for r, p in zip(found, fixed, strict=True)]
