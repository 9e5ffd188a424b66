"""What the tuning stage tried and chose: for each method the best validation score against the number of trials."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.statistics import EMPTY, Summary
from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.reading.studies import Row, settings
from mtlbench.report.tables.formats import Cell, Column, Table
from mtlbench.report.text import as_float, clean

SHOWN = 8  # points of the curve, beyond which only powers of two are shown
ALWAYS = ("lr", "weight_decay")
HEADS = {"lr": "learning rate", "weight_decay": "weight decay", "units_lr": "units' multiplier"}
NOTE = (
    "Scores are on validation, of runs on seeds outside the study (the mean where a trial has several). Trial 1 is the method "
    "as it stands; the space is the same for all, and beside it what a method declares as its own."
)
UNEQUAL = "The methods do not have the same number of trials, so what they reached is not on equal terms."


@dataclass(frozen=True)
class Trial:
    """One setting tried, on one or more seeds."""

    runs: tuple[ReportedRun, ...]

    @property
    def score(self) -> float:
        """The mean of its seeds' scores; -inf if one of them has none."""
        values = [r.validation if r.status == "finished" else None for r in self.runs]
        known = [v for v in values if v is not None]
        return math.fsum(known) / len(known) if len(known) == len(values) else -math.inf

    @property
    def error(self) -> float:
        """Its standard error over the validation split's images: the same images on every seed, so it does not shrink."""
        known = [r.validation_error for r in self.runs if r.validation_error is not None]
        return math.fsum(known) / len(known) if len(known) == len(self.runs) else math.nan

    @property
    def settings(self) -> dict[str, Any]:
        """What may have been tuned, by dotted name: the method's options, and of the configuration what TUNED names."""
        return dict(settings(self.runs[0]))


def trials(result: Aggregate) -> dict[str, list[Trial]]:
    """Each method's trials, in their order."""
    tried: dict[str, dict[Any, list[ReportedRun]]] = defaultdict(lambda: defaultdict(list))
    for run in sorted(result.study.trials, key=_order):
        tried[run.method][run.id if run.trial is None else run.trial].append(run)
    return {name: [Trial(tuple(runs)) for runs in found.values()] for name, found in tried.items()}


def best_so_far(tried: Sequence[Trial]) -> list[float]:
    """The best score after each trial; -inf as long as none has one."""
    return list(accumulate((t.score for t in tried), max))


def tuned(tried: Mapping[str, Sequence[Trial]]) -> list[str]:
    """The settings in which trials of one method differ, after learning rate and weight decay."""
    found = set()
    for group in tried.values():
        values = [t.settings for t in group]
        found |= {n for v in values for n in v if any(v[n] != other.get(n) for other in values)}
    return [*ALWAYS, *sorted(found - set(ALWAYS))]


def untried(result: Aggregate) -> list[str]:
    """The study's rows whose settings no trial of their method had: they stand beside tuned rows, and are none."""
    tried = trials(result)
    return [
        row.label for row in result.study.rows if row.role == "study" and not _tried(row, tried.get(row.method, []))
    ]


def _tried(row: Row, own: Sequence[Trial]) -> bool:
    names = tuned({row.method: own})
    mine = [dict(settings(run)) for run in (*row.every, *row.failed.values())]
    return any(all(one.get(n) == t.settings.get(n) for n in names for one in mine) for t in own)


def table(result: Aggregate) -> Table:
    """A row a method: the curve of the best score so far, and the values that were chosen."""
    tried = trials(result)
    most = max(map(len, tried.values()), default=0)
    points = [k for k in range(1, most + 1) if most <= SHOWN or k == most or k & (k - 1) == 0]
    columns = [Column(f"best_of_{k}", str(k), "best score after trials", "", True, 3) for k in points]
    names = tuned(tried)
    errors = any(math.isfinite(t.error) for own in tried.values() for t in own)
    columns += [Column("error", "standard error", "chosen", "", None, 3)] * errors
    columns += [Column(clean(n, 40), HEADS.get(n, clean(n, 40)), "chosen") for n in names]
    rows = [(clean(method, 60), _cells(own, points, names, errors)) for method, own in sorted(tried.items())]
    unequal = [UNEQUAL] * (len({len(own) for own in tried.values()}) > 1)
    return Table(
        "tuning", "Tuning: what each method's trials reached, and what was chosen", columns, rows, [NOTE, *unequal]
    )


def _order(run: ReportedRun) -> tuple[float, int, str, str]:
    return (math.inf if run.trial is None else run.trial, run.seed, run.time, run.id)


def _cells(tried: list[Trial], points: list[int], names: list[str], errors: bool) -> list[Cell]:
    scores = [t.score for t in tried]
    reached = best_so_far(tried)
    curve = [Cell(_summary(reached[k - 1])) if len(tried) >= k else Cell("") for k in points]
    best = max(range(len(tried)), key=lambda i: (scores[i], -i))  # the earlier where two are equal
    if scores[best] == -math.inf:
        return curve + [Cell(EMPTY)] * errors + [Cell("none finished") for _ in names]
    chosen = tried[best].settings
    curve += [Cell(_summary(tried[best].error))] * errors
    return curve + [Cell(_said(chosen.get(n))) for n in names]


def _summary(score: float) -> Summary:
    return Summary(1, score) if math.isfinite(score) else EMPTY


def _said(value: Any) -> str:
    number = as_float(value)
    return f"{number:.3g}" if number is not None else "–" if value is None else clean(value, 40)
