"""Latencies side by side: measured for a whole results folder, and told for any networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mtlbench import records
from mtlbench.cli.tables import table
from mtlbench.deployed.latency import Row, measurable, measure, processor_of
from mtlbench.errors import ConfigError
from mtlbench.study.study import available

WIDE = 0.2  # of the median: the report shows no latency whose quartiles are further apart


def measure_all(results: Path, own: Sequence[str], device: str, threads: int) -> list[Row]:
    """Measure every network of a results folder, and print a line a run. ConfigError where there is none."""
    device = available(device)
    folders = measurable(results)
    if not folders:
        raise ConfigError(f"'{results}' has no finished run with a network")
    announce(folders, device, threads)
    rows = measure(folders, own, device, threads)
    print_rows(rows)
    return rows


def announce(folders: Sequence[Path], device: str, threads: int) -> None:
    """Print what is about to be timed: it takes a minute without a sign."""
    print(
        f"latency: {len(folders)} networks side by side, {threads} thread{'s' * (threads > 1)} of {processor_of(device)}"
    )


def print_rows(rows: Sequence[Row]) -> None:
    """Print a line a run."""
    print(table(("method", "seed", "ms", "quartiles"), [_cells(row) for row in rows]))


def _cells(row: Row) -> tuple[str, int, str, str]:
    start = records.read_run(row.folder).start
    if row.line is None:
        return start.method, start.seed, "n/a", row.reason
    wide = row.line.high_ms - row.line.low_ms > WIDE * row.line.median_ms
    note = " (too wide to be shown: was the machine busy?)" if wide else ""
    return (
        start.method,
        start.seed,
        f"{row.line.median_ms:.2f}",
        f"{row.line.low_ms:.2f} to {row.line.high_ms:.2f}{note}",
    )
