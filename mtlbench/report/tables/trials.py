"""What the tuning stage tried and chose: for each method the best validation score against the number of trials."""

from __future__ import annotations

import math
from typing import Any

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.statistics import EMPTY, Summary
from mtlbench.report.analysis.trials import Trial, best_so_far, chosen, trials, tuned
from mtlbench.report.tables.formats import Cell, Column, Table
from mtlbench.report.text import as_float, clean

SHOWN = 8  # points of the curve, beyond which only powers of two are shown
HEADS = {"lr": "learning rate", "weight_decay": "weight decay", "units_lr": "units' multiplier"}
NOTE = (
    "Scores are on validation, of runs on seeds outside the study (the mean where a trial has several). Trial 1 is the method "
    "as it stands; the space is the same for all, and beside it what a method declares as its own."
)
UNEQUAL = "The methods do not have the same number of trials, so what they reached is not on equal terms."


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


def _cells(tried: list[Trial], points: list[int], names: list[str], errors: bool) -> list[Cell]:
    reached = best_so_far(tried)
    curve = [Cell(_summary(reached[k - 1])) if len(tried) >= k else Cell("") for k in points]
    best = chosen(tried)
    if best is None:
        return curve + [Cell(EMPTY)] * errors + [Cell("none finished") for _ in names]
    curve += [Cell(_summary(best.error))] * errors
    return curve + [Cell(_said(best.settings.get(n))) for n in names]


def _summary(score: float) -> Summary:
    return Summary(1, score) if math.isfinite(score) else EMPTY


def _said(value: Any) -> str:
    number = as_float(value)
    return f"{number:.3g}" if number is not None else "–" if value is None else clean(value, 40)
