"""Delta against a worked table, its guard, and the pairing by seed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import pytest

from mtlbench import tasks as harness
from mtlbench.records import Eval, MetricInfo, Start, TaskInfo, Writer
from mtlbench.report.analysis.aggregate import DELTA, DELTA_PRIMARY, OVERALL, Aggregate, Line, mean, skill
from mtlbench.report.report import read

SEG = TaskInfo(
    name="seg",
    kind="segmentation",
    channels=4,
    metrics=[
        MetricInfo(name="miou", unit="%", higher=True, primary=True),
        MetricInfo(name="pixel_accuracy", unit="%", higher=True),
    ],
)
DEPTH = TaskInfo(
    name="depth",
    kind="depth",
    channels=1,
    metrics=[
        MetricInfo(name="abs_error", unit="m", higher=False, primary=True),
        MetricInfo(name="rel_error", unit="", higher=False),
    ],
)
CONSTANT = {"seg": {"miou": 4.0, "pixel_accuracy": 20.0}, "depth": {"abs_error": 1.2, "rel_error": 0.6}}


def write(
    root: Path, method: str, seed: int, values: Any, anchor: Any = None, constant: Any = CONSTANT, **config: Any
) -> None:
    """The shortest record with a final figure."""
    from mtlbench.records import End

    role = config.pop("role", "study")
    writer = Writer(root / "records" / f"{method}-{seed}-{role}", 1)
    settings = {"dataset": "d", "tasks": ["seg", "depth"], "steps": 10, "selection": "last", **config}
    writer.write(
        Start(method=method, dataset="d", seed=seed, anchor=anchor, role=role, config=settings, tasks=[SEG, DEPTH])
    )
    if constant:
        writer.write(Eval(step=0, split="test", purpose="constant", metrics=constant))
    writer.write(Eval(step=10, split="test", purpose="final", metrics=values))
    writer.write(End(status="finished", step=10))


def figures(miou: float | None, pixels: float, error: float, relative: float) -> dict[str, Any]:
    return {"seg": {"miou": miou, "pixel_accuracy": pixels}, "depth": {"abs_error": error, "rel_error": relative}}


def study(root: Path) -> Aggregate:
    (found,) = read(root).aggregates
    return found


def line(result: Aggregate, method: str) -> Line:
    return next(x for x in result.lines if x.row.method == method)


def test_delta_of_a_worked_table(tmp_path: Path) -> None:
    """seg: +10 % and +2 %, so 6; depth: 1/4 less error and 1/10 more, so (25 - 10) / 2 = 7.5; overall 6.75."""
    write(tmp_path, "alone", 0, figures(30.0, 50.0, 0.8, 0.2), anchor="independent")
    write(tmp_path, "new", 0, figures(33.0, 51.0, 0.6, 0.22))
    new = line(study(tmp_path), "new")
    assert new.delta["seg"][0] == pytest.approx(6.0)
    assert new.delta["depth"][0] == pytest.approx(7.5)
    assert new.series(DELTA)[0] == pytest.approx(6.75)
    assert new.series(DELTA_PRIMARY)[0] == pytest.approx((10 + 25) / 2)
    assert new.difference["depth", "abs_error"][0] == pytest.approx(-0.2)


def test_delta_of_a_published_table(tmp_path: Path) -> None:
    """DiSparse's hard sharing against AdaShare's single-task row on CityScapes comes out at +3.1 (METHODS)."""
    names = ("delta_1.25", "delta_1.25^2", "delta_1.25^3")
    depth = [*DEPTH.metrics, *(MetricInfo(name=n, unit="%", higher=True) for n in names)]
    keys = [m.name for m in depth]
    alone = dict(zip(keys, (0.017, 0.33, 70.3, 86.3, 93.3), strict=True))
    shared = dict(zip(keys, (0.016, 0.33, 74.22, 88.90, 94.47), strict=True))
    bad = dict(zip(keys, (0.04, 0.8, 30.0, 40.0, 50.0), strict=True))
    DEPTH.metrics[:], before = depth, list(DEPTH.metrics)
    try:
        constant = {"seg": CONSTANT["seg"], "depth": bad}
        seg = ({"miou": 40.2, "pixel_accuracy": 74.7}, {"miou": 42.58, "pixel_accuracy": 74.84})
        write(tmp_path, "alone", 0, {"seg": seg[0], "depth": alone}, anchor="independent", constant=constant)
        write(tmp_path, "shared", 0, {"seg": seg[1], "depth": shared}, anchor="shared", constant=constant)
    finally:
        DEPTH.metrics[:] = before
    assert line(study(tmp_path), "shared").series(DELTA)[0] == pytest.approx(3.1, abs=0.05)


def test_delta_is_paired_by_seed(tmp_path: Path) -> None:
    """Against single-task of its own seed, never against the mean; a seed single-task lacks has no Delta."""
    write(tmp_path, "alone", 0, figures(30.0, 50.0, 0.8, 0.2), anchor="independent")
    write(tmp_path, "alone", 1, figures(32.0, 50.0, 0.8, 0.2), anchor="independent")
    for seed, miou in ((0, 33.0), (1, 35.2), (2, 99.0)):
        write(tmp_path, "new", seed, figures(miou, 50.0, 0.8, 0.2))
    new = line(study(tmp_path), "new")
    assert new.delta["seg"] == {0: pytest.approx(5.0), 1: pytest.approx(5.0)}
    assert mean(new.values["seg", "miou"]).n == 3
    assert set(new.series(DELTA)) == {0, 1}


def test_a_metric_enters_by_the_interval_of_its_skill(tmp_path: Path) -> None:
    """Skills .04 and .06 over the constant 4.0: the interval of .05 is +-.127; ten seeds of the same are +-.007."""
    levels = [4 + 0.04 * 96, 4 + 0.06 * 96]
    for seed in range(10):
        write(tmp_path, "alone", seed, figures(levels[seed % 2], 50.0, 0.8, 0.2), anchor="independent")
        write(tmp_path, "new", seed, figures(levels[seed % 2] * 1.1, 55.0, 0.8, 0.2))
        if seed == 1:
            result = study(tmp_path)
            said = (
                "single-task is not shown to beat the constant predictor (skill 0.050, 95 % interval -0.077 to 0.177)"
            )
            assert result.kept_out == {("seg", "miou"): said}
            assert line(result, "new").delta["seg"][0] == pytest.approx(10.0)  # pixel accuracy alone
    result = study(tmp_path)
    assert not result.kept_out
    assert line(result, "new").delta_primary["seg"][3] == pytest.approx(10.0)


def test_no_floor_of_points_decides(tmp_path: Path) -> None:
    """4.99 and 5.01 % stand or fall alike (a floor at 5 once took one and left the other)."""
    for name, value in (("below", 4.99), ("above", 5.01)):
        for seed in range(3):
            low = {"seg": {"miou": 0.5, "pixel_accuracy": 20.0}, "depth": CONSTANT["depth"]}
            values = figures(value + 0.01 * seed, 50.0, 0.8, 0.2)
            write(tmp_path / name, "alone", seed, values, anchor="independent", constant=low)
        assert not study(tmp_path / name).kept_out


def test_a_label_that_never_changes_is_left_out_and_named(tmp_path: Path) -> None:
    from mtlbench.report.tables.study import accuracy, skills

    still = {"seg": {"miou": 100.0, "pixel_accuracy": 100.0}, "depth": CONSTANT["depth"]}
    for method, anchor in (("alone", "independent"), ("new", None)):
        write(tmp_path, method, 0, figures(100.0, 100.0, 0.8, 0.2), anchor=anchor, constant=still)
    result = study(tmp_path)
    assert "without error: the label never changes" in result.kept_out["seg", "miou"]
    assert result.partial == ["seg"]
    assert any("seg mIoU: the constant predictor is without error" in note for note in accuracy(result).notes)
    assert any(note.startswith("In no skill and no mean: seg;") for note in skills(result).notes)


def test_a_metric_no_better_than_the_constant_stays_out(tmp_path: Path) -> None:
    """abs_error 1.19 against 1.2 is a skill of .008."""
    write(tmp_path, "alone", 0, figures(30.0, 50.0, 1.19, 0.2), anchor="independent")
    write(tmp_path, "new", 0, figures(30.0, 50.0, 0.1, 0.1))
    result = study(tmp_path)
    assert "constant predictor" in result.kept_out["depth", "abs_error"]
    assert line(result, "new").delta["depth"][0] == pytest.approx(50.0)
    assert set(line(result, "new").delta_primary[OVERALL]) == {0}  # over segmentation's primary alone


def test_a_task_with_no_metric_left_is_not_in_the_overall_delta(tmp_path: Path) -> None:
    write(tmp_path, "alone", 0, figures(30.0, 50.0, 1.2, 0.61), anchor="independent")
    write(tmp_path, "new", 0, figures(33.0, 55.0, 0.1, 0.1))
    result = study(tmp_path)
    assert result.partial == ["depth"]
    assert line(result, "new").series(DELTA)[0] == pytest.approx(10.0)
    assert not line(result, "new").delta["depth"]


@pytest.mark.parametrize("alone", [0.0, None])
def test_nothing_is_divided_by_nothing(tmp_path: Path, alone: float | None) -> None:
    values = figures(30.0, 50.0, 0.8, 0.2) | {"depth": {"abs_error": alone, "rel_error": 0.2}}
    write(tmp_path, "alone", 0, values, anchor="independent")
    write(tmp_path, "new", 0, figures(30.0, 50.0, 0.4, 0.1))
    result = study(tmp_path)
    assert ("depth", "abs_error") in result.kept_out
    assert line(result, "new").delta["depth"][0] == pytest.approx(50.0)


def test_without_a_constant_predictor_there_is_no_delta(tmp_path: Path) -> None:
    write(tmp_path, "alone", 0, figures(30.0, 50.0, 0.8, 0.2), anchor="independent", constant=None)
    write(tmp_path, "new", 0, figures(33.0, 51.0, 0.6, 0.22), constant=None)
    result = study(tmp_path)
    assert not line(result, "new").series(DELTA)
    assert all("no constant predictor" in why for why in result.kept_out.values())


def test_without_single_task_there_is_no_delta(tmp_path: Path) -> None:
    write(tmp_path, "together", 0, figures(30.0, 50.0, 0.8, 0.2), anchor="shared")
    write(tmp_path, "new", 0, figures(33.0, 51.0, 0.6, 0.22))
    assert not line(study(tmp_path), "new").series(DELTA)


def test_single_tasks_delta_is_exactly_zero(tmp_path: Path) -> None:
    write(tmp_path, "alone", 0, figures(30.1, 50.3, 0.83, 0.21), anchor="independent")
    assert line(study(tmp_path), "alone").series(DELTA) == {0: 0.0}


def test_gains_over_hard_sharing_are_positive_where_better(tmp_path: Path) -> None:
    for seed, shift in ((0, 0.0), (1, 1.0), (2, 0.5)):
        write(tmp_path, "alone", seed, figures(30.0 + shift, 50.0, 0.8, 0.2), anchor="independent")
        write(tmp_path, "together", seed, figures(31.0 + shift, 50.0, 0.7 + shift / 10, 0.2), anchor="shared")
        write(tmp_path, "new", seed, figures(32.0 + 1.1 * shift, 50.0, 0.6 + shift / 9, 0.2))
    new = line(study(tmp_path), "new")
    assert new.against["seg", "miou"].difference.mean == pytest.approx(1.05)
    assert new.against["depth", "abs_error"].difference.mean == pytest.approx(0.1 - 0.5 * (1 / 9 - 1 / 10))
    assert new.against[DELTA_PRIMARY].difference.n == 3


@patch("mtlbench.records.writing.os.fsync", lambda handle: None)
def test_all_pairs_come_with_ten_seeds_only(synthetic: ModuleType, tmp_path: Path) -> None:
    for seed in range(10):
        for method in ("single-task", "hard-sharing", "nddr"):
            synthetic.run(tmp_path, method, seed, per_image=False)
        if seed == 8:
            assert not study(tmp_path).pairs
    assert len(study(tmp_path).pairs) == 3


def test_a_control_of_nobody_is_no_part_of_comparisons(small: Path) -> None:
    scenes = read(small).aggregates[1]
    control = next(x for x in scenes.lines if x.row.role == "control")
    assert not control.against
    assert not any(x.controlled for x in scenes.lines)
    assert control.series(DELTA)


@pytest.mark.parametrize(
    ("metric", "value", "constant"),
    [("miou", 30.0, 4.0), ("miou", 1.0, 100.0), ("abs_error", 0.4, 1.0), ("abs_error", 0.0, 0.0)],
)
def test_skill_is_the_harnesss(metric: str, value: float, constant: float) -> None:
    info = next(m for t in (SEG, DEPTH) for m in t.metrics if m.name == metric)
    theirs = harness.Metric(info.name, info.unit, info.higher, info.primary)
    assert skill(info, value, constant) == pytest.approx(harness.skill(theirs, value, constant), nan_ok=True)
