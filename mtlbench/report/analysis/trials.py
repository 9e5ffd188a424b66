"""The tuning stage's trials: what each reached, and which rows of a study come of them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from mtlbench.report.analysis.aggregate import Aggregate, Line
from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.reading.settings import settings
from mtlbench.report.reading.studies import Row
from mtlbench.report.text import clean

ALWAYS = ("lr", "weight_decay")


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


def chosen(tried: Sequence[Trial]) -> Trial | None:
    """The trial with the best score, the earlier where two are equal; None where none finished."""
    best = max(tried, key=lambda t: t.score, default=None)
    return best if best is not None and best.score > -math.inf else None


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


def named(result: Aggregate) -> dict[str, Line]:
    """A study's rows by the names that they have beside other studies: of several rows of a method the one that its trials
    chose has the method's own name, as where it is the only one; the others keep the settings that tell them apart."""
    found = {x.label: x for x in result.lines if x.row.role == "study"}
    for method, tried in trials(result).items():
        best = chosen(tried)
        own = [x.label for x in found.values() if x.row.method == method and best and _has(x.row, best, tried)]
        if len(own) == 1 and clean(method, 60) not in found:
            found[clean(method, 60)] = found.pop(own[0])
    return found


def _tried(row: Row, own: Sequence[Trial]) -> bool:
    return any(_has(row, trial, own) for trial in own)


def _has(row: Row, trial: Trial, own: Sequence[Trial]) -> bool:
    """Whether all runs of a row have a trial's settings, of those in which its method's trials differ."""
    runs = [dict(settings(run)) for run in (*row.every, *row.failed.values())]
    return all(one.get(n) == trial.settings.get(n) for n in tuned({row.method: own}) for one in runs)


def _order(run: ReportedRun) -> tuple[float, int, str, str]:
    return (math.inf if run.trial is None else run.trial, run.seed, run.time, run.id)
