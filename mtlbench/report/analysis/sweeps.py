"""What changes over one number: studies that differ in one setting alone, such as a data set's relatedness or the steps."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, SCORE, Aggregate, Key, Line, Series, mean, paired
from mtlbench.report.analysis.statistics import ALPHA, Paired, Summary
from mtlbench.report.reading.settings import flatten
from mtlbench.report.text import clean, slug

ELSEWHERE = ("weights", "seed")  # weights have a front; seeds are none of a study's settings
DATA = "data."  # with an option of the data its fingerprint changes too


@dataclass(frozen=True)
class Sweep:
    """Studies that differ in one number, in its order. What is compared is Delta where all have one, else the mean skill."""

    setting: str  # its dotted name
    values: tuple[float, ...]
    studies: tuple[Aggregate, ...]

    @property
    def name(self) -> str:
        """The name of its files."""
        return f"over-{slug(self.told, 30)}-{min(r.study.name for r in self.studies)}"

    @property
    def told(self) -> str:
        """The setting as people say it."""
        return clean(self.setting.removeprefix(DATA).replace("_", " "), 60)

    @property
    def seeds(self) -> tuple[int, int]:
        """Of the study that has the fewest, and of the one that has the most."""
        counts = [len(r.study.seeds) for r in self.studies]
        return min(counts), max(counts)

    @cached_property
    def key(self) -> Key:
        """What methods are compared by: the same over all values."""
        return DELTA_PRIMARY if all(r.headline == DELTA_PRIMARY for r in self.studies) else SCORE

    @cached_property
    def _lines(self) -> list[dict[str, Line]]:
        return [{x.label: x for x in r.lines if x.row.role == "study" and x.series(self.key)} for r in self.studies]

    @property
    def labels(self) -> list[str]:
        """The rows that have a figure at two values or more, the anchors first."""
        found: dict[str, list[Line]] = defaultdict(list)
        for lines in self._lines:
            for label, line in lines.items():
                found[label].append(line)
        order = {"independent": 0, "shared": 1}
        kept = [label for label, lines in found.items() if len(lines) > 1]
        return sorted(kept, key=lambda label: (order.get(found[label][0].row.anchor or "", 2), label))

    @property
    def shared(self) -> str | None:
        """The label of hard sharing, where it is the same at all values."""
        lines = [r.line("shared") for r in self.studies]
        names = {x.label for x in lines if x is not None}
        return names.pop() if len(names) == 1 and None not in lines else None

    def series(self, label: str, place: int) -> Series:
        """A row's figures at one value, by seed."""
        line = self._lines[place].get(label)
        return {} if line is None else line.series(self.key)

    @cached_property
    def gains(self) -> Mapping[tuple[str, int], Paired]:
        """Each row's gain over hard sharing at each value (by its place), corrected over all of them together (Holm)."""
        shared = self.shared
        if shared is None:
            return {}
        keys = [(label, i) for label in self.labels for i in range(len(self.values)) if label != shared]
        least = [r.least.get(self.key, 0.0) for r in self.studies]
        found = {(k, i): paired(None, self.series(k, i), self.series(shared, i), least[i]) for k, i in keys}
        fixed = statistics.holm([t.p for t in found.values()])
        level = ALPHA / max(sum(t.p == t.p for t in found.values()), 1)
        return {key: t.within(p, level) for (key, t), p in zip(found.items(), fixed, strict=True)}

    def rise(self, label: str) -> Summary:
        """By how much a row's figure rises from the first value to the last, along the least squares line of each seed."""
        every = [self.series(label, i) for i in range(len(self.values))]
        common = sorted(set.intersection(*map(set, every)))
        x = np.asarray(self.values) - np.mean(self.values)
        span = self.values[-1] - self.values[0]
        return mean({s: float(x @ [one[s] for one in every] / (x @ x)) * span for s in common})


def sweeps(results: Sequence[Aggregate]) -> list[Sweep]:
    """Every family of studies that differ in one number alone."""
    flat = [dict(flatten(r.study.config)) for r in results]
    found = []
    for setting in _candidates(flat):
        families: dict[str, list[tuple[float, Aggregate]]] = defaultdict(list)
        for config, result in zip(flat, results, strict=True):
            if _number(config.get(setting)):
                families[_family(config, result, setting)].append((float(config[setting]), result))
        found += [_sweep(setting, family) for family in families.values() if len({v for v, _ in family}) > 1]
    return sorted((s for s in found if s.labels), key=lambda s: s.name)


def _candidates(flat: Iterable[Mapping[str, Any]]) -> list[str]:
    """The settings that are numbers and not always the same."""
    seen: dict[str, set[float]] = defaultdict(set)
    for config in flat:
        for name, value in config.items():
            if _number(value) and name.partition(".")[0] not in ELSEWHERE:
                seen[name].add(float(value))
    return sorted(name for name, values in seen.items() if len(values) > 1)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _family(config: Mapping[str, Any], result: Aggregate, setting: str) -> str:
    """What its studies agree on."""
    study = result.study
    rest = {k: v for k, v in config.items() if k != setting}
    content = "" if setting.startswith(DATA) else study.fingerprint
    data = [rest, [t.name for t in study.tasks], study.streams, study.device, content, bool(study.trials)]
    return json.dumps(data, sort_keys=True, default=str)


def _sweep(setting: str, family: Iterable[tuple[float, Aggregate]]) -> Sweep:
    """Of two studies at one value (the data's content may differ) the one with more seeds."""
    best: dict[float, Aggregate] = {}
    for value, result in sorted(family, key=lambda x: (len(x[1].study.seeds), x[1].study.name)):
        best[value] = result
    values = sorted(best)
    return Sweep(setting, tuple(values), tuple(best[v] for v in values))
