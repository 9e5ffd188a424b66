"""What methods of a study are ranked by, and how that is said."""

from __future__ import annotations

import math

from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, Line, Series, compared, mean
from mtlbench.report.analysis.statistics import ALPHA, Summary
from mtlbench.report.text import number, si


def merit(result: Aggregate) -> str:
    """What methods are ranked by: Delta of the primary metrics, or the mean skill where there is no single-task."""
    return "Δ" if result.headline == DELTA_PRIMARY else "skill"


def worth(result: Aggregate, line: Line) -> Series:
    """A line's figures for that."""
    return line.series(result.headline)


def ranked(result: Aggregate) -> list[Line]:
    """The study's methods with a figure, best first; controls are no candidates."""
    lines = [x for x in result.lines if x.row.role == "study" and worth(result, x)]
    return sorted(lines, key=lambda x: (-mean(worth(result, x)).mean, x.label))


def _rivals(result: Aggregate) -> int:
    """How many methods have a figure."""
    return sum(x.row.role == "study" and bool(worth(result, x)) for x in result.lines)


def apart(result: Aggregate, best: Line, other: Line) -> bool:
    """Whether the best is told apart from another, corrected for all those it could be compared with (Bonferroni)."""
    others = max(_rivals(result) - 1, 1)
    difference = compared(result, best, other, result.headline).difference
    return statistics.widened(difference, ALPHA / others).low > 0


def chosen(result: Aggregate, line: Line) -> Summary:
    """The figure of a row that was picked for being high: its interval holds whichever of all rows is picked."""
    return statistics.widened(mean(worth(result, line)), ALPHA / max(_rivals(result), 1))


def over_shared(result: Aggregate, line: Line) -> Summary:
    """Its gain over hard sharing, paired by seed, with the interval of one that was picked among all rows."""
    shared = result.line("shared")
    if shared is None or shared is line:
        return statistics.EMPTY
    difference = compared(result, line, shared, result.headline).difference
    return statistics.widened(difference, ALPHA / max(_rivals(result) - 1, 1))


def interval(value: Summary, digits: int, unit: str = "") -> str:
    """A mean with its 95 % t interval where seeds allow one; `unit` stands behind the figures."""
    text = number(value.mean, digits, sign=True)
    unit = f" {unit}" if unit else ""
    if not math.isfinite(value.low):
        return f"{text}{unit} (one seed)"
    return f"{text} [{number(value.low, digits, sign=True)}, {number(value.high, digits, sign=True)}]{unit}"


def shown(measure: str, value: Summary) -> str:
    """A figure of `merit`, with its name, decimals and unit."""
    return f"{measure} {interval(value, 1, '%') if measure == 'Δ' else interval(value, 3)}"


def costs(line: Line) -> str:
    """Size, compute and time in a few words."""
    told = []
    for key, shape in (("parameters_ratio", "{:.2f}× backbone"), ("macs", "{} MAC"), ("latency_ms", "{:.1f} ms")):
        cost = line.costs.get(key)
        if cost is not None and cost.n:
            told.append(shape.format(si(cost.mean) if key == "macs" else cost.mean).replace(" MAC", "MAC"))
    return ", ".join(told) or "no cost recorded"
