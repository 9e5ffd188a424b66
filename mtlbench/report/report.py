"""What the records of a results folder say: studies with their figures, and what could not be read."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from mtlbench.errors import RecordError
from mtlbench.records import read_each
from mtlbench.report.analysis import bootstrap, claims
from mtlbench.report.analysis.aggregate import Aggregate, aggregate
from mtlbench.report.analysis.fronts import Front, fronts
from mtlbench.report.analysis.overview import Overview, overview
from mtlbench.report.analysis.sweeps import Sweep, sweeps
from mtlbench.report.reading.reported_run import ReportedRun, reported
from mtlbench.report.reading.studies import studies
from mtlbench.report.tables.header import title
from mtlbench.report.text import clean


@dataclass
class Report:
    """What the records say: studies with their figures, and what could not be read."""

    results: Path
    out: Path
    aggregates: list[Aggregate]
    runs: list[ReportedRun]
    problems: list[str]
    overview: Overview
    fronts: list[Front] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """One line for each thing a reader must know before believing a figure."""
        found = [f"unreadable: {clean(p, 400)}" for p in self.problems]
        for result in self.aggregates:
            found += [
                f"{title(result.study)}: {clean(w, 400)}" for w in (*result.study.warnings, *result.test.problems)
            ]
        return found

    @property
    def without(self) -> str:
        """What there is instead, where no study has a run."""
        return f"no run of a study yet, only trials of tuning ({len(self.runs):,})" if self.runs else "no records yet"


def read(results: Path, out: Path | None = None) -> Report:
    """Read every record and work out every figure; writes nothing. RecordError where there is no results folder."""
    if not results.is_dir():
        raise RecordError(f"no results folder '{results}' (allowed: a folder that holds records/)")
    with uncollected():
        runs, problems = _reported_runs(results)
        aggregates = [aggregate(study) for study in studies(runs)]
        for result in aggregates:
            claims.compare(result)
            result.test = bootstrap.resample(result)
        whole = overview(aggregates)
        over_weights, over_numbers = fronts(aggregates), sweeps(aggregates)
    return Report(results, out or results, aggregates, runs, problems, whole, over_weights, over_numbers)


@contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: records hold no cycles, and looking for some takes longer than reading them.

    Nor does it look afterwards: what was made meanwhile is filed as old, for whenever everything is looked through.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            if not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()


def _reported_runs(results: Path) -> tuple[list[ReportedRun], list[str]]:
    """Runs reduced one by one: of ten thousand whole records there is never more than one in memory."""
    runs: list[ReportedRun] = []
    problems: list[str] = []
    for run in read_each(results):
        if isinstance(run, str):
            problems.append(run)
        else:
            runs.append(reported(run))
    return runs, problems
