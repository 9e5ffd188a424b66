"""Which method to take under limits on size, compute and time: the best one within them, with its evidence."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mtlbench.errors import ConfigError, short
from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import Aggregate, Line
from mtlbench.report.analysis.merit import apart, chosen, costs, interval, merit, over_shared, ranked, shown
from mtlbench.report.analysis.statistics import Summary
from mtlbench.report.tables.header import title
from mtlbench.report.text import si

if TYPE_CHECKING:
    from mtlbench.report.report import Report

_UNITS: Mapping[str, float] = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}


@dataclass(frozen=True)
class Limit:
    """An upper bound on a cost: `text` is as it was given."""

    cost: str
    most: float
    text: str


def limits(max_params: str | None, max_macs: str | None, max_latency: str | None) -> list[Limit]:
    """The limits as given: "1.5x" (of one plain backbone) or "30M", "20G", "50ms" or "0.05s". ConfigError otherwise."""
    found = []
    if max_params is not None:
        ratio = re.fullmatch(r"\s*([\d.]+)\s*[x×]\s*", max_params, re.I)
        if ratio:
            found.append(Limit("parameters_ratio", _number(ratio[1], "--max-params", max_params), max_params))
        else:
            found.append(Limit("parameters", _scaled(max_params, "--max-params", "1.5x or 30M"), max_params))
    if max_macs is not None:
        found.append(Limit("macs", _scaled(max_macs, "--max-macs", "20G"), max_macs))
    if max_latency is not None:
        found.append(Limit("latency_ms", _milliseconds(max_latency), max_latency))
    return found


def _number(text: str, flag: str, given: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise ConfigError(f"{flag} '{short(given)}' is not a positive number")
    return value


def _scaled(given: str, flag: str, allowed: str) -> float:
    match = re.fullmatch(r"\s*([\d.]+(?:e[+-]?\d+)?)\s*([kmgt]?)\s*", given, re.I)
    if not match:
        raise ConfigError(f"{flag} '{short(given)}' is not understood (allowed: a number such as {allowed})")
    return _number(match[1], flag, given) * _UNITS[match[2].lower()]


def _milliseconds(given: str) -> float:
    match = re.fullmatch(r"\s*([\d.]+)\s*(ms|s)?\s*", given, re.I)
    if not match:
        raise ConfigError(f"--max-latency '{short(given)}' is not understood (allowed: 50ms or 0.05s)")
    return _number(match[1], "--max-latency", given) * (1000.0 if (match[2] or "").lower() == "s" else 1.0)


@dataclass
class Choice:
    """What one study says: the best method within the limits, those that could be as good, and who fell to which limit."""

    study: str
    merit: str
    seeds: int
    best: Line | None
    value: Summary
    close: list[Line] = field(default_factory=list)  # within the limits, and not told apart from the best
    excluded: dict[str, str] = field(default_factory=dict)  # label -> why
    gain: Summary = statistics.EMPTY  # over hard sharing, paired by seed
    # the intervals of both hold for whichever row is picked

    def text(self) -> str:
        """The recommendation, its evidence and its uncertainty, in lines."""
        if self.best is None:
            why = "; ".join(f"{label}: {reason}" for label, reason in self.excluded.items())
            return f"{self.study}\n  no method is within the limits" + (f" ({why})" if why else "")
        lines = [self.study, f"  take {self.best.label}: {self._figure()}, {costs(self.best)}"]
        if self.gain.n:
            lines.append(f"  over hard sharing: {interval(self.gain, 1 if self.merit == 'Δ' else 3)}")
        if self.seeds < 2:
            lines.append("  one seed: this is the highest figure, not evidence that it is the best method")
        elif self.close:
            lines.append("  not told apart from it: " + "; ".join(f"{x.label} ({costs(x)})" for x in self.close))
        if self.excluded:
            lines.append("  outside the limits: " + "; ".join(f"{k} ({v})" for k, v in self.excluded.items()))
        return "\n".join(lines)

    def _figure(self) -> str:
        return shown(self.merit, self.value)


def choose(result: Aggregate, bounds: list[Limit]) -> Choice:
    """The best method of a study within the limits."""
    inside, excluded = [], {}
    for line in ranked(result):
        reasons = [r for b in bounds if (r := _outside(line, b))]
        if reasons:
            excluded[line.label] = ", ".join(reasons)
        else:
            inside.append(line)
    seeds = len(result.study.seeds)
    if not inside:
        return Choice(title(result.study), merit(result), seeds, None, statistics.EMPTY, excluded=excluded)
    best = inside[0]
    choice = Choice(title(result.study), merit(result), seeds, best, chosen(result, best), excluded=excluded)
    choice.close = [x for x in inside[1:] if not apart(result, best, x)]
    choice.gain = over_shared(result, best)
    return choice


def _outside(line: Line, bound: Limit) -> str:
    cost = line.costs.get(bound.cost)
    if cost is None or not cost.n:
        return f"{bound.cost} not measured"
    if cost.mean <= bound.most * (1 + 1e-9):
        return ""
    shown = {"parameters_ratio": f"{cost.mean:.2f}x", "latency_ms": f"{cost.mean:.1f}ms"}.get(bound.cost, si(cost.mean))
    return f"{shown} > {bound.text}"


@dataclass
class Recommendation:
    """A choice for each study."""

    choices: list[Choice]

    def text(self) -> str:
        """Every study's choice."""
        return "\n".join(c.text() for c in self.choices) or "no study to recommend from"


def recommend(
    report: Report, max_params: str | None = None, max_macs: str | None = None, max_latency: str | None = None
) -> Recommendation:
    """The best method of every study within the limits."""
    bounds = limits(max_params, max_macs, max_latency)
    return Recommendation([choose(result, bounds) for result in report.aggregates])
