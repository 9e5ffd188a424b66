"""Two results folders side by side: what changed, with intervals, and whether it became worse. Serves as a gate.

A folder may be narrowed to one commit: `results@0123abc` takes each run's newest attempt from that commit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mtlbench.errors import RecordError
from mtlbench.records import MetricInfo, Run, read_attempts, record_folders
from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, Key, Line, aggregate, mean, paired, primary
from mtlbench.report.analysis.statistics import ALPHA, Paired, Summary
from mtlbench.report.reading.reported_run import ReportedRun, reported
from mtlbench.report.reading.studies import Study, studies
from mtlbench.report.tables.comparisons import p_text
from mtlbench.report.tables.header import title
from mtlbench.report.tables.naming import digits, metric_name, task_name, unit
from mtlbench.report.text import clean, number

TOLERANCE = 10.0  # percent by which a primary metric may fall where one common seed allows no test
COSTS = ("parameters", "macs", "steps")


@dataclass
class Change:
    """One figure in both: `test` is b - a, positive where b is better; `relative` in percent of a."""

    row: str
    what: str
    before: Summary
    after: Summary
    test: Paired
    relative: float
    digits: int
    unit: str = ""

    def worse(self, tolerance: float) -> bool:
        """Whether it became worse: by the corrected test, or beyond the tolerance where one seed, or seeds that all
        changed by the same, allow no test."""
        if self.test.difference.n >= 2 and not self.test.difference.spreadless:
            return self.test.difference.mean < 0 and self.test.corrected < ALPHA
        return self.relative < -tolerance

    def text(self, tolerance: float) -> str:
        """One line."""
        d = self.test.difference
        gap = number(d.mean, self.digits, sign=True)
        if d.n < 2:
            doubt = "one common seed, no test"
        else:
            doubt = f"[{number(d.low, self.digits, sign=True)}, {number(d.high, self.digits, sign=True)}], "
            doubt += f"p {p_text(self.test.corrected)}"
        before, after = (number(x.mean, self.digits) for x in (self.before, self.after))
        verdict = "unchanged" if d.mean == 0 and not d.sd > 0 else "WORSE" if self.worse(tolerance) else ""
        unit_ = f" {self.unit}" if self.unit else ""
        return f"  {self.row}, {self.what}: {before} -> {after}{unit_}; gain {gap} ({doubt}) {verdict}".rstrip()


@dataclass
class Comparison:
    """What changed from `a` to `b`. `regressed` is the gate: a figure became worse, or a run that finished no longer does."""

    a: str
    b: str
    changes: dict[str, list[Change]] = field(default_factory=dict)  # by study
    lost: list[str] = field(default_factory=list)  # finished in a, not in b
    notes: list[str] = field(default_factory=list)
    tolerance: float = TOLERANCE

    @property
    def regressed(self) -> bool:
        """Whether b is worse than a somewhere."""
        return bool(self.lost) or any(c.worse(self.tolerance) for changes in self.changes.values() for c in changes)

    def text(self) -> str:
        """Everything in lines, the verdict last."""
        lines = [
            f"from {self.a} to {self.b}; gain is b - a on common seeds, positive is better, with its 95 % t interval"
        ]
        for study, changes in self.changes.items():
            lines += [study, *(c.text(self.tolerance) for c in changes)]
        lines += [f"lost: {x}" for x in self.lost] + [f"note: {x}" for x in self.notes]
        return "\n".join([*lines, self._verdict()])

    def _verdict(self) -> str:
        every = [c for changes in self.changes.values() for c in changes]
        if not every:
            return "nothing in common: no study of one is in the other"
        worse = sum(c.worse(self.tolerance) for c in every)
        if worse or self.lost:
            return f"regressed: {worse} of {len(every)} figures worse, {len(self.lost)} runs lost"
        return f"no regression found in {len(every)} figures; this does not show that there is none"

    __str__ = text


def compare(a: str | Path, b: str | Path, tolerance: float = TOLERANCE) -> Comparison:
    """Compare two results folders (or FOLDER@COMMIT). RecordError where one cannot be read."""
    found = Comparison(clean(a), clean(b), tolerance=tolerance)
    before, after = (_read(x, found.notes) for x in (a, b))
    matched = list(_matched(before, after, found.notes))
    for x, y in matched:
        found.changes[title(y.study)] = _changes(x, y)
        found.lost += _lost(x, y)
        found.notes += _costs(x, y)
    tests = [c for changes in found.changes.values() for c in changes]
    for change, p in zip(tests, statistics.holm([c.test.p for c in tests]), strict=True):
        change.test = Paired(change.test.difference, change.test.p, p, change.test.detectable)
    return found


def _read(given: str | Path, notes: list[str]) -> list[Aggregate]:
    folder, commit = _split(str(given))
    if not (folder / "records").is_dir():
        raise RecordError(f"'{folder}' holds no results (allowed: a folder with records/ in it, or FOLDER@COMMIT)")
    found: list[ReportedRun] = []
    for path in record_folders(folder):
        try:
            attempts = [r for r in read_attempts(path) if _of(r, commit)]
        except RecordError as error:
            notes.append(f"unreadable: {clean(error, 400)}")
            continue
        finished = [r for r in attempts if r.status == "finished"]
        found += [reported(r) for r in (finished or attempts)[-1:]]
    if commit and not found:
        raise RecordError(f"no run in '{folder}' is from commit '{commit}'")
    return [aggregate(s) for s in studies(found)]


def _split(given: str) -> tuple[Path, str]:
    """A folder, and the commit behind the last @ where the whole is no folder itself."""
    folder, at, commit = given.rpartition("@")
    return (Path(given), "") if Path(given).exists() or not at else (Path(folder), commit)


def _of(run: Run, commit: str) -> bool:
    return not commit or str(run.start.environment.get("commit") or "").startswith(commit)


def _matched(
    before: Sequence[Aggregate], after: Sequence[Aggregate], notes: list[str]
) -> Iterator[tuple[Aggregate, Aggregate]]:
    """Studies that are the same, else the only ones on the same data set, tasks and device."""
    left = list(before)
    for y in after:
        same = [x for x in left if x.study.name == y.study.name] or [
            x for x in left if _like(x.study) == _like(y.study)
        ]
        if len(same) != 1:
            notes.append(
                f"only in b: {title(y.study)}" if not same else f"{title(y.study)} fits {len(same)} studies of a"
            )
            continue
        left.remove(same[0])
        if same[0].study.name != y.study.name:
            notes.append(f"{title(y.study)}: the configurations differ ({_differing(same[0].study, y.study)})")
        yield same[0], y
    notes += [f"only in a: {title(x.study)}" for x in left]


def _like(study: Study) -> tuple[object, ...]:
    return study.config.get("dataset"), tuple(t.name for t in study.tasks), study.device


def _differing(a: Study, b: Study) -> str:
    names = sorted({k for k in {*a.config, *b.config} if a.config.get(k) != b.config.get(k)})
    told = [f"{clean(n, 40)}: {clean(a.config.get(n), 40)} -> {clean(b.config.get(n), 40)}" for n in names]
    return ", ".join(told) or "the data's content"


def _rows(a: Aggregate, b: Aggregate) -> Iterator[tuple[Line, Line]]:
    labels = {x.label: x for x in a.lines}
    return ((labels[y.label], y) for y in b.lines if y.label in labels)


def _changes(a: Aggregate, b: Aggregate) -> list[Change]:
    found = []
    for x, y in _rows(a, b):
        for task in b.study.tasks:
            if (metric := primary(task)) is not None:
                shown = (f"{task_name(task)} {metric_name(metric)}", digits(metric), unit(metric))
                found.append(_change(x, y, (task.name, metric.name), metric, *shown))
        found.append(_change(x, y, DELTA_PRIMARY, None, "Δ", 1, "%"))
    return [c for c in found if c is not None]


def _change(
    x: Line, y: Line, key: Key, metric: MetricInfo | None, what: str, decimals: int, shown: str
) -> Change | None:
    before, after = x.series(key), y.series(key)
    common = sorted(before.keys() & after.keys())
    if not common:
        return None
    old, new = mean({s: before[s] for s in common}), mean({s: after[s] for s in common})
    test = paired(metric, after, before)
    relative = 100 * test.difference.mean / abs(old.mean) if metric is not None and old.mean else math.nan
    return Change(y.label, what, old, new, test, relative, decimals, shown)


def _lost(a: Aggregate, b: Aggregate) -> list[str]:
    """Runs that counted in a and do not in b. Seeds or methods that b never ran are notes, not losses, unless they failed."""
    return [
        f"{y.label}, seed {s}, {title(b.study)}: {y.row.lost[s]}"
        for x, y in _rows(a, b)
        for s in sorted(x.row.runs)
        if s in y.row.failed
    ]


def _costs(a: Aggregate, b: Aggregate) -> list[str]:
    notes = [f"only in a: {x.label}, {title(a.study)}" for x in a.lines if x.label not in {y.label for y in b.lines}]
    notes += [f"only in b: {y.label}, {title(b.study)}" for y in b.lines if y.label not in {x.label for x in a.lines}]
    for x, y in _rows(a, b):
        for name in COSTS:
            old, new = x.costs.get(name), y.costs.get(name)
            if old and new and old.mean and abs(new.mean / old.mean - 1) > 1e-3:
                notes.append(
                    f"{y.label}: {name} {old.mean:.4g} -> {new.mean:.4g} ({100 * (new.mean / old.mean - 1):+.1f} %)"
                )
    return notes
