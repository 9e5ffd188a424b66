"""Latencies that may be compared: all networks of a study in turns on one machine that did nothing else."""

from __future__ import annotations

from collections import Counter, defaultdict

from mtlbench.records import SideBySide
from mtlbench.report.analysis.statistics import Summary
from mtlbench.report.reading.studies import Row, Study
from mtlbench.report.text import clean

WIDE = 0.2  # of the median: quartiles further apart say that the machine did other things
NORMAL = 1.349  # deviations between the quartiles of a normal distribution
UNMEASURED = "Latency n/a: not measured side by side (`mtlbench latency RESULTS` does)."


def side_by_side(study: Study) -> tuple[dict[str, Summary], str, list[str]]:
    """Milliseconds by label (`low` and `high` are quartiles), where they were taken, and why others are missing."""
    found = {row.label: [run.latency for run in row.every if run.latency is not None] for row in study.rows}
    sessions = Counter(x.session for lines in found.values() for x in {y.session: y for y in lines}.values())
    if not sessions:
        return {}, "", [UNMEASURED]
    newest = {x.session: x.time for lines in found.values() for x in lines}
    session = max(sessions, key=lambda s: (sessions[s], newest[s], s))
    taken = {label: [x for x in lines if x.session == session] for label, lines in found.items()}
    machines = {(clean(x.processor, 60), x.threads) for lines in taken.values() for x in lines}
    if len(machines) > 1:
        named = ", ".join(sorted(name or "unknown" for name, _ in machines))
        return {}, "", [f"Latency n/a: its processors or threads differ ({named})."]
    ((processor, threads),) = machines
    where = f"{processor or 'an unnamed processor'}, {threads} thread{'s' if threads != 1 else ''}"
    values, reasons = _values(taken, study.rows)
    return values, where, [f"Latency n/a of {', '.join(labels)}: {why}." for why, labels in sorted(reasons.items())]


def _values(taken: dict[str, list[SideBySide]], rows: list[Row]) -> tuple[dict[str, Summary], dict[str, list[str]]]:
    values: dict[str, Summary] = {}
    reasons: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        lines = taken[row.label]
        if not row.runs:
            continue
        if not lines:
            reasons["not in the session that measured the others"].append(row.label)
            continue
        median, low, high = (
            sum(x) / len(lines) for x in zip(*((y.median_ms, y.low_ms, y.high_ms) for y in lines), strict=True)
        )
        if not 0 < median < float("inf") or high - low > WIDE * median:
            reasons[f"its quartiles are further apart than {100 * WIDE:.0f} % of the median"].append(row.label)
        else:
            values[row.label] = Summary(len(lines), median, (high - low) / NORMAL, low, high)
    return values, reasons
