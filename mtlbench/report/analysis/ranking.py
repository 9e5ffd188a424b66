"""Ranks over data sets: which studies form the blocks, and which methods are in all of them."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, mean
from mtlbench.report.analysis.statistics import Ranks
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


def rankings(results: Iterable[Aggregate]) -> list[Ranking]:
    """One ranking for each protocol that was run on at least BLOCKS data sets."""
    families: dict[str, dict[str, Aggregate]] = defaultdict(dict)
    for result in results:
        config = result.study.config
        key = json.dumps([[config.get(k) for k in SAME], result.study.device], default=str)
        dataset, seen = str(config.get("dataset")), families[key]
        if dataset not in seen or len(result.study.tasks) > len(seen[dataset].study.tasks):
            seen[dataset] = result
    found = [_ranking(family) for _, family in sorted(families.items()) if len(family) >= BLOCKS]
    return [r for r in found if r is not None]


def _ranking(family: dict[str, Aggregate]) -> Ranking | None:
    scores = [_deltas(r) for _, r in sorted(family.items())]
    names = sorted(set.intersection(*(set(s) for s in scores)))
    if len(names) < 3:
        return None
    first = next(iter(family.values())).study
    ranks = statistics.ranks(names, np.array([[s[n] for n in names] for s in scores]))
    parts = [str(first.config.get(k)) for k in ("preset", "selection", "budget")] + [first.device]
    left_out = tuple(sorted({n for s in scores for n in s} - set(names)))
    title = (
        f"Ranks over {len(family)} data sets: preset {parts[0]}, selection {parts[1]}, budget {parts[2]}, {parts[3]}"
    )
    return Ranking(f"ranks-{slug('-'.join(parts), 60)}", clean(title), ranks, tuple(sorted(family)), left_out)


def _deltas(result: Aggregate) -> dict[str, float]:
    """Each method's mean Delta."""
    lines = [x for x in result.lines if x.row.role == "study"]
    return {x.label: mean(series).mean for x in lines if (series := x.series(DELTA_PRIMARY))}
