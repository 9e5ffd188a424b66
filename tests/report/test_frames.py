"""The DataFrames hold the report's own figures; pandas' own grouping gives the same ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mtlbench.errors import RecordError
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, mean
from mtlbench.report.frames import Frames, read_report
from mtlbench.report.report import read


@pytest.fixture(scope="module")
def frames(small: Path) -> Frames:
    return read_report(small)


def test_every_run_and_every_figure_is_a_row(frames: Frames, small: Path) -> None:
    aggregates = read(small).aggregates
    runs = [r for a in aggregates for x in a.lines for r in (*x.row.runs.values(), *x.row.failed.values())]
    assert len(frames.runs) == len(runs)
    assert set(frames.runs.status) == {r.status for r in runs}
    assert len(frames.metrics) == sum(len(s) for a in aggregates for x in a.lines for s in x.values.values())


def test_pandas_own_grouping_gives_the_summary(frames: Frames) -> None:
    keys = ["study", "method", "task", "metric"]
    own = frames.metrics.groupby(keys).value.agg(["count", "mean", "std"])
    ours = frames.summary.set_index(keys).loc[own.index]
    assert len(own) > 100
    np.testing.assert_array_equal(ours.n, own["count"])
    np.testing.assert_allclose(ours["mean"], own["mean"], rtol=1e-12)
    np.testing.assert_allclose(ours.sd, own["std"], rtol=1e-9, atol=1e-12)


def test_delta_from_the_metrics_is_the_reports(frames: Frames, small: Path) -> None:
    """Relative gain over single-task of the same seed on primary metrics, by merging the table with itself."""
    primary = frames.metrics[frames.metrics.primary]
    single = primary[primary.method == "single-task"][["study", "seed", "task", "value"]]
    both = primary.merge(single, on=["study", "seed", "task"], suffixes=("", "_single"))
    both["delta"] = np.where(both.higher, 100.0, -100.0) * (both.value / both.value_single - 1)
    own = both.groupby(["study", "method", "seed"]).delta.mean().groupby(["study", "method"]).mean()
    for result in read(small).aggregates:
        for line in result.lines:
            if line.series(DELTA_PRIMARY) and len(line.row.runs) > 1:
                assert own[result.study.name, line.label] == pytest.approx(
                    mean(line.series(DELTA_PRIMARY)).mean, abs=1e-9
                )
    table = frames.table()
    assert table.loc["nddr"].notna().all()


def test_tests_costs_curves_and_policies_are_there(frames: Frames, small: Path) -> None:
    result = read(small).aggregates[0]
    for line in result.lines:
        rows = frames.tests[(frames.tests.study == result.study.name) & (frames.tests.method == line.label)]
        assert sorted(rows.corrected.dropna()) == pytest.approx(sorted(t.corrected for t in line.against.values()))
    assert {"macs", "latency_ms"} <= set(frames.costs.cost)
    assert frames.curves.groupby(["study", "method", "seed", "task"]).step.is_monotonic_increasing.all()
    assert frames.policies.alpha.between(0, 1).all()


def test_an_empty_folder_has_empty_tables_and_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    found = read_report(tmp_path)
    assert len(found.runs) == 0
    assert list(found.summary.columns)[:2] == ["study", "method"]
    with pytest.raises(RecordError, match="no results folder"):
        read_report(tmp_path / "none")


def test_the_report_pays_for_neither_pandas_nor_torch() -> None:
    code = (
        "import sys, mtlbench.report.build, mtlbench.report.frames; assert not {'pandas', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
