"""The recommendation, the answer in words, the terminal, and the comparison of two folders."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from rich.console import Console
from scipy import stats

from mtlbench.errors import ConfigError, RecordError
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, mean
from mtlbench.report.compare import compare
from mtlbench.report.page.answers import answer
from mtlbench.report.recommend import choose, limits, recommend
from mtlbench.report.report import read
from mtlbench.report.tables.comparisons import p_text
from mtlbench.report.tables.formats import Cell, Column
from mtlbench.report.terminal import terminal


def test_limits_are_read_as_they_are_written() -> None:
    found = limits("1.5x", "20G", "50ms")
    assert [(b.cost, b.most) for b in found] == [("parameters_ratio", 1.5), ("macs", 20e9), ("latency_ms", 50.0)]
    assert limits("30M", "1e9", "0.05s")[0].most == 30e6
    assert limits(None, "1e9", "0.05s")[1].most == 50.0
    assert limits(None, None, None) == []


@pytest.mark.parametrize(
    "given",
    [
        ("1.5y", None, None),
        ("-1x", None, None),
        (None, "20 apples", None),
        (None, None, "50h"),
        ("0x", None, None),
        ("1..5x", None, None),
    ],
)
def test_a_wrong_limit_is_one_clear_line(given: Any) -> None:
    with pytest.raises(ConfigError, match="--max-"):
        limits(*given)


def test_the_recommendation_is_the_best_inside_the_limits(small: Path) -> None:
    for result in read(small).aggregates:
        lines = [x for x in result.lines if x.row.role == "study" and x.series(DELTA_PRIMARY)]
        deltas = {x.label: sum(v := list(x.series(DELTA_PRIMARY).values())) / len(v) for x in lines}
        for ratio in (0.5, 1.0, 1.2, 5.0):
            choice = choose(result, limits(f"{ratio}x", None, None))
            fitting = [x.label for x in lines if x.costs["parameters_ratio"].mean <= ratio + 1e-9]
            assert (choice.best is None) == (not fitting)
            if choice.best is not None:
                assert deltas[choice.best.label] == max(deltas[name] for name in fitting)
            assert set(choice.excluded) == {x.label for x in lines} - set(fitting)
            assert all(x.row.role == "study" for x in choice.close)


def test_the_recommendation_says_its_evidence_and_doubt(small: Path, synthetic: ModuleType, tmp_path: Path) -> None:
    text = recommend(read(small), max_params="1.5x").text()
    assert "take adashare" in text
    assert "over hard sharing: +" in text
    assert "nddr (2.10x > 1.5x" in text
    assert "no method is within the limits" in recommend(read(small), max_macs="1").text()
    for method in ("single-task", "hard-sharing"):
        synthetic.run(tmp_path, method, 0, per_image=False)
    assert "one seed" in recommend(read(tmp_path)).text()


def test_the_answer_of_one_seed_says_that_first(synthetic: ModuleType, tmp_path: Path) -> None:
    for method in ("single-task", "hard-sharing", "nddr"):
        synthetic.run(tmp_path, method, 0, per_image=False)
    said = answer(read(tmp_path).aggregates[0])
    assert said[0].startswith("One seed: no ranking.")
    assert said[1].startswith("Highest Δ: nddr")
    assert not any(word in " ".join(said) for word in ("Better", "Worse", "Best", "Negative transfer"))


def test_the_answer_without_single_task_uses_skill(synthetic: ModuleType, tmp_path: Path) -> None:
    """The p it prints is the corrected one: raw p times three methods, as without single-task no task has a Delta."""
    for method in ("hard-sharing", "nddr", "mtan", "den"):
        for seed in range(5):
            synthetic.run(tmp_path, method, seed, per_image=False)
    result = read(tmp_path).aggregates[0]
    said = answer(result)
    assert said[0].startswith("Better than hard sharing at equal steps: ")
    assert "Δ" not in " ".join(said)
    shared = next(x for x in result.lines if x.row.method == "hard-sharing")
    raw = {
        x.label: stats.ttest_rel([*x.score.values()], [*shared.score.values()]).pvalue
        for x in result.lines
        if x is not shared
    }
    bests = [c.test.p for c in result.claims if c.kind == "best"]
    least = min(raw, key=lambda name: raw[name])
    shown = next(c.test.corrected for c in result.claims if c.kind == "gain" and c.line.label == least)
    assert shown == pytest.approx(raw[least] * len(raw) / (0.8 if bests else 1.0))
    assert f"p {p_text(shown)}" in said[0]


def test_the_terminal_shows_figures_reasons_and_warnings(small: Path) -> None:
    console = Console(width=220, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    for part in terminal(read(small)):
        console.print(part)
    text = console.export_text()
    for said in (
        "nddr",
        "mIoU",
        "diverged: loss of depth is not finite at step 400",
        "undecided",
        "derived",
        "3 seeds",
    ):
        assert said in text, said


def test_the_terminal_says_what_stands_behind_plus_minus(small: Path) -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    for line in terminal(read(small)):
        console.print(line)
    said = console.export_text()
    assert "3 seeds (± their standard deviation), selection last" in said
    assert "known: Better than hard sharing in rooms: segmentation, depth, at equal steps: nddr +" in said


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_cuts_the_table_between_columns_not_within(small: Path, width: int) -> None:
    result = read(small)
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(*terminal(result), sep="\n")
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= width
    assert "…" not in "".join(lines)
    for line in result.aggregates[0].lines:
        delta = Cell(mean(line.series(DELTA_PRIMARY))).show(Column("delta", "Δ", "", "%", True, 1, True))
        assert any(x.startswith(line.label[:16]) and delta in x for x in lines), line.label
    assert any(x.strip().endswith("abs. error (m) ↓") or "abs. error (m) ↓" in x for x in lines)


def test_the_answer_may_be_that_sharing_does_not_help(synthetic: ModuleType, tmp_path: Path) -> None:
    for method in ("single-task", "den"):
        synthetic.run(tmp_path, method, 0, per_image=False)
    second = answer(read(tmp_path).aggregates[0])[1]
    assert second.startswith("Highest Δ: single-task, zero by definition, at 3.00× backbone")
    assert second.endswith("every other figure is below it.")


def spoiled(
    synthetic: ModuleType, root: Path, factor: float, methods: tuple[str, ...] = ("nddr",), seeds: int = 5
) -> Path:
    """Three methods, some with depth errors times a factor that wavers with the seed."""
    honest = synthetic.metrics

    def metrics(method: str, dataset: str, seed: int, *args: Any, **kwargs: Any) -> Any:
        values = honest(method, dataset, seed, *args, **kwargs)
        if method in methods:
            values["depth"]["abs_error"] *= factor + (seed - 2) * 0.002 * (factor != 1)
        return values

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "metrics", metrics)
        for method in ("single-task", "hard-sharing", "nddr"):
            for seed in range(seeds):
                synthetic.run(root, method, seed, per_image=False, curve=1)
    return root


def test_the_same_results_are_no_regression(small: Path) -> None:
    found = compare(small, small)
    assert not found.regressed
    assert "does not show that there is none" in found.text()
    assert all(c.test.difference.mean == 0 for changes in found.changes.values() for c in changes)


def test_a_clear_fall_is_a_regression_with_its_interval(synthetic: ModuleType, tmp_path: Path) -> None:
    a, b = spoiled(synthetic, tmp_path / "a", 1.0), spoiled(synthetic, tmp_path / "b", 1.05)
    found = compare(a, b)
    assert found.regressed
    worse = [c for changes in found.changes.values() for c in changes if c.worse(found.tolerance)]
    assert {c.row for c in worse} == {"nddr"}
    depth = next(c for c in worse if c.what.startswith("depth"))
    assert depth.test.difference.low < depth.test.difference.mean < depth.test.difference.high < 0
    assert "WORSE" in found.text()
    assert not compare(b, a).regressed


def test_noise_is_no_regression(synthetic: ModuleType, tmp_path: Path) -> None:
    a, b = spoiled(synthetic, tmp_path / "a", 1.0), spoiled(synthetic, tmp_path / "b", 1.0005)
    assert not compare(a, b).regressed


def test_one_seed_regresses_beyond_the_tolerance_only(synthetic: ModuleType, tmp_path: Path) -> None:
    a, b = spoiled(synthetic, tmp_path / "a", 1.0, seeds=1), spoiled(synthetic, tmp_path / "b", 1.08, seeds=1)
    assert not compare(a, b).regressed
    assert compare(a, b, tolerance=5).regressed
    assert "one common seed, no test" in compare(a, b).text()


def test_a_run_that_now_fails_is_a_regression(synthetic: ModuleType, tmp_path: Path) -> None:
    a, b = spoiled(synthetic, tmp_path / "a", 1.0), spoiled(synthetic, tmp_path / "b", 1.0)
    shutil.rmtree(b / "records" / "nddr-scenes-3t-s1-cpu")
    assert not compare(a, b).regressed  # never run is not lost
    synthetic.run(b, "nddr", 1, status="diverged", reason="loss of depth", per_image=False)
    found = compare(a, b)
    assert found.regressed
    assert "nddr, seed 1" in found.lost[0]


def test_studies_and_methods_of_one_side_alone_are_named(synthetic: ModuleType, tmp_path: Path) -> None:
    for root, method, dataset in (("a", "nddr", "scenes"), ("b", "mtan", "scenes"), ("b", "nddr", "rooms")):
        synthetic.run(tmp_path / root, method, 0, dataset, per_image=False)
    text = compare(tmp_path / "a", tmp_path / "b").text()
    for said in ("only in b: rooms", "only in a: nddr", "only in b: mtan"):
        assert said in text


def test_another_configuration_is_compared_and_named(synthetic: ModuleType, tmp_path: Path) -> None:
    synthetic.run(tmp_path / "a", "nddr", 0, per_image=False)
    synthetic.run(tmp_path / "b", "nddr", 0, per_image=False, width=0.5)
    assert "width: 0.25 -> 0.5" in compare(tmp_path / "a", tmp_path / "b").text()


def test_two_commits_of_one_folder(synthetic: ModuleType, tmp_path: Path) -> None:
    """A second attempt from another commit lies in the same record."""
    folder = synthetic.run(tmp_path, "nddr", 0, per_image=False)
    path = folder / "record.jsonl"
    second = path.read_text().replace('"attempt":1', '"attempt":2').replace("0123456789ab", "fedcba987654")
    path.write_text(path.read_text() + second.replace('"abs_error":0.5', '"abs_error":0.9'))
    found = compare(f"{tmp_path}@0123", f"{tmp_path}@fedc")
    assert found.regressed
    with pytest.raises(RecordError, match="is from commit 'abcd'"):
        compare(f"{tmp_path}@abcd", tmp_path)


def test_what_is_no_results_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no results"):
        compare(tmp_path, tmp_path)
