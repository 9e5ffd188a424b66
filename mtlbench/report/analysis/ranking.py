"""Ranks over data sets: which studies form the blocks, and which methods are in all of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, mean
from mtlbench.report.analysis.statistics import Ranks
from mtlbench.report.analysis.trials import named
from mtlbench.report.text import clean, slug

BLOCKS = 10  # data sets from which ranks are drawn
SAME = ("preset", "selection", "budget", "weighting", "precision", "pretrained")  # a data set's preset decides the rest


@dataclass(frozen=True)
class Ranking:
    """Ranks over the data sets of studies that agree on protocol; `left_out` methods lack a figure in some of them."""

    name: str
    title: str
    ranks: Ranks
    datasets: tuple[str, ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """Studies that agree on protocol, one a data set: of several the one with the most tasks."""

    studies: Mapping[str, Aggregate]

    @property
    def _parts(self) -> list[str]:
        first = next(iter(self.studies.values())).study
        return [str(first.config.get(k)) for k in ("preset", "selection", "budget")] + [first.device]

    def name(self, what: str) -> str:
        """The name of its files."""
        return f"{what}-{slug('-'.join(self._parts), 60)}"

    def title(self, what: str) -> str:
        """Its heading."""
        preset, selection, budget, device = self._parts
        over = f"{len(self.studies)} data sets: preset {preset}, selection {selection}, budget {budget}, {device}"
        return clean(f"{what} over {over}")


def families(results: Iterable[Aggregate]) -> list[Family]:
    """The studies by protocol."""
    found: dict[str, dict[str, Aggregate]] = defaultdict(dict)
    for result in results:
        config = result.study.config
        key = json.dumps([[config.get(k) for k in SAME], result.study.device], default=str)
        dataset, seen = str(config.get("dataset")), found[key]
        if dataset not in seen or len(result.study.tasks) > len(seen[dataset].study.tasks):
            seen[dataset] = result
    return [Family(studies) for _, studies in sorted(found.items())]


def rankings(results: Iterable[Aggregate]) -> list[Ranking]:
    """One ranking for each protocol that was run on at least BLOCKS data sets."""
    found = [_ranking(family) for family in families(results) if len(family.studies) >= BLOCKS]
    return [r for r in found if r is not None]


def _ranking(family: Family) -> Ranking | None:
    scores = [_deltas(r) for _, r in sorted(family.studies.items())]
    names = sorted(set.intersection(*(set(s) for s in scores)))
    if len(names) < 3:
        return None
    ranks = statistics.ranks(names, np.array([[s[n] for n in names] for s in scores]))
    left_out = tuple(sorted({n for s in scores for n in s} - set(names)))
    return Ranking(family.name("ranks"), family.title("Ranks"), ranks, tuple(sorted(family.studies)), left_out)


def _deltas(result: Aggregate) -> dict[str, float]:
    """Each method's mean Delta."""
    return {name: mean(series).mean for name, x in named(result).items() if (series := x.series(DELTA_PRIMARY))}
