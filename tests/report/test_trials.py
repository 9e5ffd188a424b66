"""The tuning table: the best score so far after each trial, and the values of the trial that reached it first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mtlbench.report.analysis.trials import named, untried
from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.reading.studies import Row
from mtlbench.report.report import read
from mtlbench.report.tables.formats import Cell, Table
from mtlbench.report.tables.trials import UNEQUAL
from mtlbench.report.tables.trials import table as tuning


@pytest.fixture(scope="module")
def some(small: Path) -> ReportedRun:
    return next(o for r in read(small).aggregates for o in r.study.runs if o.counts)


def result(some: ReportedRun, trials: list[dict[str, Any]], rows: list[Row] | None = None) -> Any:
    runs = []
    for trial in trials:
        config = {**some.config, "lr": trial.get("lr", 0.1), "weight_decay": 1e-4, "options": trial.get("options", {})}
        config |= trial.get("more", {})
        method, status = trial.get("method", "nddr"), trial.get("status", "finished")
        known = {"method": method, "status": status, "validation": trial["score"], "trial": trial["trial"]}
        known |= {"seed": trial.get("seed", 99), "validation_error": trial.get("error")}
        runs.append(replace(some, role="tune", config=config, **known))
    lines = [SimpleNamespace(row=r, label=r.label) for r in rows or []]
    return SimpleNamespace(study=SimpleNamespace(trials=runs, rows=rows or []), lines=lines)


def table(some: ReportedRun, trials: list[dict[str, Any]]) -> Table:
    return tuning(result(some, trials))


def said(cells: list[Cell]) -> list[Any]:
    return [c.value if isinstance(c.value, str) else c.value.mean if c.value.n else None for c in cells]


def test_the_curve_is_the_running_best_in_the_order_of_trials(some: ReportedRun) -> None:
    trials = [{"trial": 2, "score": 0.5, "lr": 0.3}, {"trial": 0, "score": 0.2}, {"trial": 1, "score": 0.1}]
    (name, cells), *_ = table(some, trials).rows
    assert name == "nddr"
    assert said(cells) == [0.2, 0.2, 0.5, "0.3", "0.0001"]


def test_the_earlier_of_equal_trials_is_chosen(some: ReportedRun) -> None:
    trials = [{"trial": 1, "score": 0.5, "lr": 0.3}, {"trial": 0, "score": 0.5, "lr": 0.2}]
    assert said(table(some, trials).rows[0][1])[2] == "0.2"


def test_failed_trials_have_no_score(some: ReportedRun) -> None:
    trials = [{"trial": 0, "score": None, "status": "diverged"}, {"trial": 1, "score": 0.5, "status": "failed"}]
    assert said(table(some, trials).rows[0][1]) == [None, None, "none finished", "none finished"]


def test_units_stand_only_where_a_method_has_them(some: ReportedRun) -> None:
    units = [{"trial": i, "score": i / 10, "method": "mtan", "options": {"units_lr": 9.0 + i}} for i in range(2)]
    trials = [{"trial": 0, "score": 0.1}, *units]
    found = table(some, trials)
    assert found.columns[-1].key == "units_lr"
    assert [(name, said(cells)[-1]) for name, cells in found.rows] == [("mtan", "10"), ("nddr", "–")]


def test_long_curves_show_powers_of_two_and_the_end(some: ReportedRun) -> None:
    found = table(some, [{"trial": i, "score": i / 100} for i in range(20)])
    assert [c.head for c in found.columns[:-2]] == ["1", "2", "4", "8", "16", "20"]
    assert said(found.rows[0][1])[:-2] == [0.0, 0.01, 0.03, 0.07, 0.15, 0.19]


def test_no_tuning_no_rows(some: ReportedRun) -> None:
    assert not table(some, []).rows


def test_whatever_trials_differ_in_is_said(some: ReportedRun) -> None:
    """Task weights, dropout and a method's own knob: a column each; what stays the same has none."""
    trials = [
        {"trial": 0, "score": 0.1, "options": {"knob": 1, "same": 2}},
        {
            "trial": 1,
            "score": 0.2,
            "options": {"knob": 3, "same": 2},
            "more": {"weights": {"depth": 0.5}, "dropout": 0.2},
        },
    ]
    found = table(some, trials)
    assert [c.key for c in found.columns[2:]] == ["lr", "weight_decay", "dropout", "knob", "weights.depth"]
    assert said(found.rows[0][1])[4:] == ["0.2", "3", "0.5"]


def test_a_trial_of_several_seeds_counts_by_their_mean(some: ReportedRun) -> None:
    """.5 on one seed and .1 on the other is .3; where one of them failed, the trial has no score."""
    trials = [
        {"trial": 0, "score": 0.5, "seed": 1000},
        {"trial": 0, "score": 0.1, "seed": 1001},
        {"trial": 1, "score": 0.4, "lr": 0.7},
        {"trial": 2, "score": 0.9, "seed": 1000},
        {"trial": 2, "score": None, "status": "diverged", "seed": 1001},
    ]
    assert said(table(some, trials).rows[0][1]) == [pytest.approx(0.3), 0.4, 0.4, "0.7", "0.0001"]


def test_a_choice_stands_with_its_standard_error(some: ReportedRun) -> None:
    """That of the chosen trial's validation images, the mean over its seeds; no column where records hold none."""
    trials = [{"trial": 0, "score": 0.5, "seed": s, "error": e} for s, e in ((1, 0.02), (2, 0.04))]
    found = table(some, [*trials, {"trial": 1, "score": 0.1, "error": 0.9}])
    place = next(i for i, c in enumerate(found.columns) if c.key == "error")
    assert said(found.rows[0][1])[place] == pytest.approx(0.03)
    assert "error" not in {c.key for c in table(some, [{"trial": 0, "score": 0.5}]).columns}


def row(some: ReportedRun, label: str, method: str, lr: float, role: str = "study", **options: float) -> Row:
    config = {**some.config, "lr": lr, "weight_decay": 1e-4, "options": options, "method": method}
    return Row(label, method, options, role, None, {0: replace(some, method=method, config=config)})


def test_rows_whose_settings_no_trial_had_are_named(some: ReportedRun) -> None:
    """Another learning rate, another knob, no trials at all; options that no trial moved, as followers complete, are none."""
    trials = [
        {"trial": 0, "score": 0.1, "options": {"knob": 1.0}},
        {"trial": 1, "score": 0.2, "lr": 0.3, "options": {"knob": 3.0}},
        {"trial": 0, "score": 0.1, "method": "follower", "options": {"like": None}},
    ]
    rows = [
        row(some, "first", "nddr", 0.1, knob=1.0),
        row(some, "chosen", "nddr", 0.3, knob=3.0),
        row(some, "rate of one, knob of the other", "nddr", 0.3, knob=1.0),
        row(some, "other rate", "nddr", 0.2, knob=1.0),
        row(some, "completed", "follower", 0.1, like=7.0),
        row(some, "alone", "mtan", 0.1),
        row(some, "control", "mtan", 0.1, role="control"),
    ]
    assert untried(result(some, trials, rows)) == ["rate of one, knob of the other", "other rate", "alone"]


def test_the_row_that_trials_chose_has_the_methods_name_beside_other_studies(some: ReportedRun) -> None:
    """And no other row: not the first trial's, not one beside the trials, not one of a method without trials."""
    trials = [{"trial": 0, "score": 0.1, "lr": 0.1}, {"trial": 1, "score": 0.2, "lr": 0.3}]
    told = [("nddr (lr=0.1)", "nddr", 0.1), ("nddr (lr=0.3)", "nddr", 0.3), ("nddr (lr=0.2)", "nddr", 0.2)]
    told += [("mtan (lr=0.1)", "mtan", 0.1), ("mtan (lr=0.3)", "mtan", 0.3)]
    rows = [row(some, *each) for each in told] + [row(some, "nddr (lr=0.3) [control]", "nddr", 0.3, role="control")]
    found = named(result(some, trials, rows))
    names = {line.label: name for name, line in found.items()}
    assert names == {label: "nddr" if label == "nddr (lr=0.3)" else label for label, _, _ in told}
    assert list(named(result(some, [], rows))) == [label for label, _, _ in told]
    none = [{**t, "status": "failed"} for t in trials]
    assert "nddr" not in named(result(some, none, rows))
    taken = [*rows, row(some, "nddr", "nddr", 0.5)]
    assert named(result(some, trials, taken))["nddr"].row is taken[-1]


def test_unequal_numbers_of_trials_are_said(some: ReportedRun) -> None:
    equal = [{"trial": i, "score": 0.1, "method": m} for i in range(2) for m in ("nddr", "mtan")]
    assert UNEQUAL not in table(some, equal).notes
    assert UNEQUAL in table(some, equal[:3]).notes
