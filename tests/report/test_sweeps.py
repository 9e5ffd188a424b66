"""What changes over one number: which studies belong together, and every figure by hand."""

from __future__ import annotations

import csv
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mtlbench.report import build
from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, SCORE
from mtlbench.report.plots.figures import Figure
from mtlbench.report.plots.figures import figures as all_figures
from mtlbench.report.report import read
from mtlbench.report.tables.sweeps import sweep_table

VALUES = (0.0, 0.5, 1.0)
METHODS = ("single-task", "hard-sharing", "adashare", "mtan")


@pytest.fixture
def write(synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a run whose gain over single-task is `rise` percent for each 1 of the value, a little apart by seed."""
    plain = synthetic.metrics

    def one(method: str, value: float, seed: int, rise: float = 0.0, **changes: Any) -> None:
        monkeypatch.setitem(synthetic.METHODS, method, (rise * value + seed, *synthetic.METHODS[method][1:]))
        monkeypatch.setattr(synthetic, "metrics", lambda m, d, s, t, *a, **k: plain(m, d, 0, t, 1.0, 0.0))
        data = changes.pop("data", {"relatedness": value, "count": 2})
        name = f"{method}-{value}-{seed}-" + "-".join(map(str, changes.values()))
        synthetic.run(tmp_path, method, seed, per_image=False, data=data, name=name, **changes)

    return one


@pytest.fixture
def swept(write: Any, tmp_path: Path) -> Path:
    """Four methods at three values on three seeds; AdaShare rises, MTAN falls."""
    for value in VALUES:
        for seed in range(3):
            for method, rise in zip(METHODS, (0.0, 2.0, 12.0, -8.0), strict=True):
                write(method, value, seed, rise + (seed if method == "adashare" else 0))
    return tmp_path


def test_studies_that_differ_in_one_number_are_a_sweep(swept: Path) -> None:
    (sweep,) = read(swept).sweeps
    assert (sweep.setting, sweep.told, sweep.values, sweep.seeds) == ("data.relatedness", "relatedness", VALUES, (3, 3))
    assert sweep.labels == ["single-task", "hard-sharing", "adashare", "mtan"]
    assert (sweep.key, sweep.shared) == (DELTA_PRIMARY, "hard-sharing")


def test_gains_are_paired_by_seed_at_each_value_and_corrected_together(swept: Path) -> None:
    (sweep,) = read(swept).sweeps
    tests = {}
    for label in ("single-task", "adashare", "mtan"):
        for i in range(3):
            own, base = sweep.series(label, i), sweep.series("hard-sharing", i)
            tests[label, i] = statistics.paired([own[s] for s in range(3)], [base[s] for s in range(3)])
    fixed = statistics.holm([t.p for t in tests.values()])
    assert {k: t.corrected for k, t in sweep.gains.items()} == pytest.approx(dict(zip(tests, fixed, strict=True)))
    for key, wanted in tests.items():
        assert sweep.gains[key].difference.mean == pytest.approx(wanted.difference.mean)


def test_the_rise_is_that_of_the_least_squares_line_of_each_seed(swept: Path) -> None:
    (sweep,) = read(swept).sweeps
    for label in sweep.labels:
        lines = [np.polyfit(VALUES, [sweep.series(label, i)[s] for i in range(3)], 1)[0] for s in range(3)]
        found, wanted = sweep.rise(label), statistics.summarise([float(x) for x in lines])
        assert (found.n, found.mean, found.low) == pytest.approx((3, wanted.mean, wanted.low))
    assert sweep.rise("adashare").low > 0 > sweep.rise("mtan").high


def test_the_rise_is_over_the_whole_range_whatever_the_unit(write: Any, tmp_path: Path) -> None:
    """A point of Δ lies between 1,000 and 3,000 steps, not between one step and the next."""
    for steps, rise in ((1000, 1.0), (3000, 2.0)):
        for seed in range(3):
            write("single-task", 1.0, seed, steps=steps)
            write("hard-sharing", 1.0, seed, rise, steps=steps)
    (sweep,) = read(tmp_path).sweeps
    ends = [np.mean([*sweep.series("hard-sharing", i).values()]) for i in (0, 1)]
    assert sweep.rise("hard-sharing").mean == pytest.approx(ends[1] - ends[0])
    assert abs(ends[1] - ends[0]) > 0.5
    assert [c.title for c in sweep_table(sweep).columns][-1] == "rise from 1000 to 3000"


def test_what_differs_in_more_than_one_number_is_none(write: Any, tmp_path: Path) -> None:
    write("hard-sharing", 0.0, 0)
    write("hard-sharing", 0.5, 0, steps=500)
    write("hard-sharing", 1.0, 0, width=0.5)
    assert read(tmp_path).sweeps == []


def test_keys_of_the_training_make_a_sweep_and_without_single_task_it_is_of_the_skill(
    write: Any, tmp_path: Path
) -> None:
    for steps in (100, 1000, 10000):
        write("hard-sharing", 0.0, 0, steps=steps)
    (sweep,) = read(tmp_path).sweeps
    assert (sweep.setting, sweep.values, sweep.key) == ("steps", (100.0, 1000.0, 10000.0), SCORE)
    assert [sum(sweep.series("hard-sharing", i).values()) for i in range(3)] == [
        r.lines[0].score[0] for r in sweep.studies
    ]


def test_weights_make_a_front_and_no_sweep(write: Any, tmp_path: Path) -> None:
    for depth in (0.5, 1.5):
        write("hard-sharing", 0.0, 0, weights={"segmentation": 1.0, "normals": 1.0, "depth": depth})
    report = read(tmp_path)
    assert (len(report.fronts), report.sweeps) == (1, [])


def test_the_table_marks_what_is_told_apart(swept: Path) -> None:
    (sweep,) = read(swept).sweeps
    table = sweep_table(sweep)
    assert [c.key for c in table.columns] == ["relatedness=0", "relatedness=0.5", "relatedness=1", "rise"]
    for label, cells in table.rows:
        for i, cell in enumerate(cells[:3]):
            test = sweep.gains.get((label, i))
            real = test is not None and test.real
            assert cell.sign == (("▲" if test.difference.mean > 0 else "▼") if real and test else "")


def test_the_report_has_its_figure_and_table(swept: Path, tmp_path: Path, undrawn: None) -> None:
    report = build.write(swept, tmp_path / "out")
    name = report.sweeps[0].name
    assert name.startswith("over-relatedness-")
    assert {f"figures/{name}.png", f"tables/{name}.md", f"tables/{name}.csv", f"tables/{name}.tex"} <= set(report.files)
    with (tmp_path / "out" / "tables" / f"{name}.csv").open() as lines:
        rows = {r["method"]: r for r in csv.DictReader(lines)}
    (sweep,) = report.sweeps
    wanted = statistics.summarise(list(sweep.series("adashare", 2).values()))
    assert float(rows["adashare"]["relatedness=1"]) == pytest.approx(wanted.mean)
    assert "Over relatedness: scenes" in (tmp_path / "out" / "index.html").read_text()


@pytest.mark.parametrize("count", [4, 9])
def test_the_figure_holds_the_means_and_intervals_and_is_drawn(
    write: Any, tmp_path: Path, synthetic: ModuleType, count: int
) -> None:
    """Few methods in one panel; of many a panel each."""
    methods = [*METHODS, "nddr", "sluice", "cross-stitch", "den"]
    if count > len(methods):
        synthetic.METHODS["other"] = (1.0, 1.0, 1.0, None)
        methods.append("other")
    for method in methods[:count]:
        for value in VALUES:
            for seed in range(2):
                write(method, value, seed, 3.0)
    report = read(tmp_path)
    figure: Figure = next(f for f in all_figures(report.aggregates, (), (), report.sweeps) if f.kind == "over")
    assert len(figure.content["curves"]) == count
    assert figure.content["curves"][0]["label"] == "hard-sharing"
    (sweep,) = report.sweeps
    for curve in figure.content["curves"]:
        for i, (value, middle, low, high) in enumerate(curve["points"]):
            found = statistics.summarise(list(sweep.series(curve["label"], i).values()))
            assert (value, middle, low, high) == pytest.approx((VALUES[i], found.mean, found.low, found.high))
    assert figure.draw()["png"].startswith(b"\x89PNG")
    synthetic.METHODS.pop("other", None)
