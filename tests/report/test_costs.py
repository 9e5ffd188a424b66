"""Costs that may be compared: latency side by side with quartiles or n/a and a reason; processor time, its processor named."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mtlbench.records import SideBySide, Writer, read_run
from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.report import read
from mtlbench.report.tables.study import costs


def timed(folder: Path, session: str = "s", median: float = 10.0, spread: float = 0.02, **changes: Any) -> None:
    """A line of `mtlbench latency` at the end of a record."""
    values = {"processor": "P", "threads": 2, "median_ms": median, "low_ms": median * (1 - spread), **changes}
    Writer(folder, 1).write(SideBySide(session=session, high_ms=median * (1 + spread), repeats=9, **values))


@pytest.fixture
def folders(synthetic: ModuleType, tmp_path: Path) -> list[Path]:
    """Three runs without latencies."""
    methods = ("single-task", "hard-sharing", "nddr")
    return [synthetic.run(tmp_path, m, 0, per_image=False, curve=1, timed=False) for m in methods]


def study(folders: list[Path]) -> Aggregate:
    (result,) = read(folders[0].parents[1]).aggregates
    return result


def latencies(result: Aggregate) -> dict[str, str]:
    table = costs(result)
    i = next((i for i, c in enumerate(table.columns) if c.key == "latency_ms"), None)
    return {} if i is None else {label: cells[i].show(table.columns[i]) for label, cells in table.rows}


def test_without_a_measurement_there_is_none_and_a_reason(folders: list[Path]) -> None:
    result = study(folders)
    assert latencies(result) == {}
    assert any(note.startswith("Latency n/a: not measured side by side") for note in costs(result).notes)


def test_latency_stands_with_its_quartiles_and_where(folders: list[Path]) -> None:
    for i, folder in enumerate(folders):
        timed(folder, median=10.0 + i)
    result = study(folders)
    assert latencies(result)["nddr"] == "12.00 [11.76, 12.24]"
    assert any("on P, 2 threads" in note for note in costs(result).notes)
    assert read_run(folders[0]).status == "finished"  # a line after the end is no new attempt


def test_the_newest_line_of_a_run_counts(folders: list[Path]) -> None:
    for folder in folders:
        timed(folder, "old", 99.0)
        timed(folder, "new", 7.0)
    assert latencies(study(folders))["nddr"].startswith("7.00")


def test_processors_that_differ_are_not_compared(folders: list[Path]) -> None:
    for i, folder in enumerate(folders):
        timed(folder, processor="P" if i else "Q")
    result = study(folders)
    assert latencies(result) == {}
    assert "Latency n/a: its processors or threads differ (P, Q)." in costs(result).notes


def test_wide_quartiles_and_other_sessions_are_left_out_and_named(folders: list[Path]) -> None:
    timed(folders[0])
    timed(folders[1])
    timed(folders[2], spread=0.2)
    result = study(folders)
    assert set(latencies(result).values()) == {"10.00 [9.80, 10.20]", "n/a"}
    assert any(n.startswith("Latency n/a of nddr: its quartiles") for n in result.untimed)
    timed(folders[2], "another day")
    assert study(folders).untimed == ["Latency n/a of nddr: not in the session that measured the others."]


def test_training_time_is_processor_time_and_names_the_processor(folders: list[Path]) -> None:
    table = costs(study(folders))
    i = next(i for i, c in enumerate(table.columns) if c.key == "processor_hours")
    assert table.rows[0][1][i].value.mean == pytest.approx(220 * 3 / 3600)  # type: ignore[union-attr]
    assert any(n == "Processor time: of all cores together, on cpu (A processor)." for n in table.notes)
