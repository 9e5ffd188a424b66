"""What the tuning stage tried and chose: for each method the best validation score against the number of trials."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.statistics import EMPTY, Summary
from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.tables.formats import Cell, Column, Table
from mtlbench.report.text import as_float, clean

SHOWN = 8  # points of the curve, beyond which only powers of two are shown
NOTE = (
    "Scores are mean skills on validation, of single runs on a seed outside the study. Trial 1 is the method as it stands; all"
    " methods' trials are the same points of learning rate, weight decay and, where a method has units, their multiplier."
)


def trials(result: Aggregate) -> dict[str, list[ReportedRun]]:
    """Each method's trials, in their order."""
    tried: dict[str, list[ReportedRun]] = defaultdict(list)
    for run in sorted(result.study.trials, key=_order):
        tried[run.method].append(run)
    return tried


def best_so_far(runs: Sequence[ReportedRun]) -> list[float]:
    """The best score after each trial; -inf as long as none has one."""
    return list(accumulate(map(_score, runs), max))


def table(result: Aggregate) -> Table:
    """A row a method: the curve of the best score so far, and the values that were chosen."""
    tried = trials(result)
    most = max(map(len, tried.values()), default=0)
    points = [k for k in range(1, most + 1) if most <= SHOWN or k == most or k & (k - 1) == 0]
    columns = [Column(f"best_of_{k}", str(k), "best score after trials", "", True, 3) for k in points]
    units = any("units_lr" in run.options for run in result.study.trials)
    columns += [Column("lr", "learning rate", "chosen"), Column("weight_decay", "weight decay", "chosen")]
    columns += [Column("units_lr", "units' multiplier", "chosen")] * units
    rows = [(clean(name, 60), _cells(runs, points, units)) for name, runs in sorted(tried.items())]
    return Table("tuning", "Tuning: what each method's trials reached, and what was chosen", columns, rows, [NOTE])


def _order(run: ReportedRun) -> tuple[float, str, str]:
    return (math.inf if run.trial is None else run.trial, run.time, run.id)


def _cells(runs: list[ReportedRun], points: list[int], units: bool) -> list[Cell]:
    scores = [_score(run) for run in runs]
    reached = best_so_far(runs)
    curve = [Cell(_summary(reached[k - 1])) if len(runs) >= k else Cell("") for k in points]
    best = max(range(len(runs)), key=lambda i: (scores[i], -i))  # the earlier where two are equal
    if scores[best] == -math.inf:
        return curve + [Cell("none finished")] * (2 + units)
    chosen = runs[best]
    values = [chosen.config.get("lr"), chosen.config.get("weight_decay")]
    return curve + [Cell(_said(v)) for v in (*values, *([chosen.options.get("units_lr")] if units else []))]


def _score(run: ReportedRun) -> float:
    value = run.validation if run.status == "finished" else None
    return -math.inf if value is None else value


def _summary(score: float) -> Summary:
    return EMPTY if score == -math.inf else Summary(1, score)


def _said(value: Any) -> str:
    number = as_float(value)
    return "–" if number is None else f"{number:.3g}"
