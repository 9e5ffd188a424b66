"""Which runs stand in one table, what they are called, and that none is dropped silently."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mtlbench.report.analysis.claims import controls
from mtlbench.report.reading.reported_run import device_kind
from mtlbench.report.reading.studies import Study
from mtlbench.report.report import read
from mtlbench.report.tables.header import title


def studies(root: Path) -> list[Study]:
    return [r.study for r in read(root).aggregates]


@pytest.fixture
def run(synthetic: ModuleType, tmp_path: Path) -> Any:
    """Write a run without per-image statistics into the test's folder."""
    return lambda *args, **kwargs: synthetic.run(tmp_path, *args, per_image=False, **kwargs)


def labels(study: Study) -> list[str]:
    return [r.label for r in study.rows]


def test_anchors_come_first_whatever_they_are_called(run: Any, tmp_path: Path) -> None:
    for method in ("adashare", "single-task", "cross-stitch", "hard-sharing"):
        run(method, 0)
    (study,) = studies(tmp_path)
    assert labels(study) == ["single-task", "hard-sharing", "adashare", "cross-stitch"]
    independent = study.anchor("independent")
    assert independent is not None
    assert independent.method == "single-task"


@pytest.mark.parametrize(
    "change",
    [
        {"steps": 2000},
        {"selection": "best-val"},
        {"width": 0.5},
        {"weighting": "dwa"},
        {"preset": "standard"},
        {"lr": 0.1},
    ],
)
def test_another_configuration_is_another_study(run: Any, tmp_path: Path, change: dict[str, Any]) -> None:
    run("nddr", 0)
    run("mtan", 0, **change)
    assert len(studies(tmp_path)) == 2


def test_another_device_is_another_study(run: Any, tmp_path: Path) -> None:
    run("nddr", 0)
    run("nddr", 0, device="cuda")
    assert [s.device for s in studies(tmp_path)] == ["cpu", "cuda"]
    assert device_kind({"device": "NVIDIA H200"}) == "cuda"
    assert device_kind({"device": "cpu"}) == "cpu"


def test_other_tasks_are_another_study(run: Any, synthetic: ModuleType, tmp_path: Path) -> None:
    run("nddr", 0)
    run("nddr", 0, tasks=synthetic.TASKS[:2])
    assert len(studies(tmp_path)) == 2


def test_rows_are_told_apart_by_the_options_that_differ(run: Any, tmp_path: Path) -> None:
    run("adashare", 0, options={"objective": "paper", "speed": 3, "same": 1})
    run("adashare", 0, options={"objective": "release", "speed": 3, "same": 1})
    run("nddr", 0, options={"same": 1})
    assert labels(studies(tmp_path)[0]) == ["adashare (objective=paper)", "adashare (objective=release)", "nddr"]


def test_nested_options_are_named_in_full(run: Any, tmp_path: Path) -> None:
    run("adashare", 0, options={"search": {"rate": 0.01}})
    run("adashare", 0, options={"search": {"rate": 0.1}})
    assert labels(studies(tmp_path)[0]) == ["adashare (search.rate=0.01)", "adashare (search.rate=0.1)"]


def test_tuning_trials_are_in_no_table(run: Any, tmp_path: Path) -> None:
    run("nddr", 0)
    run("nddr", 99, role="tune")
    (study,) = studies(tmp_path)
    assert study.seeds == [0]
    assert len(study.trials) == 1


def test_tuned_learning_rates_do_not_split_a_study(run: Any, tmp_path: Path) -> None:
    run("nddr", 0, lr=0.01)
    run("mtan", 0, lr=0.001, weight_decay=0.1)
    run("nddr", 99, lr=0.5, role="tune")
    (study,) = studies(tmp_path)
    assert labels(study) == ["mtan", "nddr"]
    assert "lr" not in study.config


def test_no_weights_of_ones_own_are_the_data_sets(run: Any, tmp_path: Path) -> None:
    """Records of before there were weights, and those that say there are none, are one study; other weights are another."""
    run("nddr", 0)
    run("mtan", 0, weights={}, also=["best-val"])
    assert len(studies(tmp_path)) == 1
    run("mtan", 0, weights={"depth": 3.0}, name="heavier")
    assert sorted(s.apart for s in studies(tmp_path)) == ["", "weight of depth 3.0"]


def test_tuned_weights_and_dropout_do_not_split_a_study(run: Any, tmp_path: Path) -> None:
    """Trials may be shorter, and may hold more out for validation, than the runs they were for."""
    run("nddr", 0, weights={"depth": 3.0})
    run("mtan", 0, dropout=0.2)
    run("nddr", 99, role="tune", steps=100, evaluations=1, data={"val_fraction": 0.3}, weights={"depth": 1.0})
    (study,) = studies(tmp_path)
    assert labels(study) == ["mtan", "nddr"]
    assert len(study.trials) == 1
    assert not {"weights", "dropout"} & set(study.config)
    run("nddr", 0, name="other", weights={"depth": 1.0})
    assert labels(studies(tmp_path)[0]) == ["mtan", "nddr (weights.depth=1.0)", "nddr (weights.depth=3.0)"]


def test_tuned_settings_name_a_row_only_where_its_options_do_not(run: Any, tmp_path: Path) -> None:
    """Rows with options of their own need no more; of what is tuned one setting is enough, the learning rate first."""
    run("nddr", 99, role="tune")
    run("nddr", 0, options={"knob": 1.0}, lr=0.1, dropout=0.1)
    run("nddr", 0, options={"knob": 2.0}, lr=0.2, dropout=0.2)
    for i, (lr, dropout, decay) in enumerate(((0.1, 0.1, 0.0), (0.2, 0.2, 0.0), (0.2, 0.3, 0.5))):
        run("mtan", 0, lr=lr, dropout=dropout, weight_decay=decay, name=str(i))
    found = labels(studies(tmp_path)[0])
    assert found[:3] == ["mtan (dropout=0.2, lr=0.2)", "mtan (dropout=0.3, lr=0.2)", "mtan (lr=0.1)"]
    assert found[3:] == ["nddr (knob=1.0)", "nddr (knob=2.0)"]


def test_a_budget_control_is_a_labelled_row_of_its_study(run: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        run("hard-sharing", seed)
    run("hard-sharing", 0, steps=3000, role="control")
    (study,) = studies(tmp_path)
    assert labels(study) == ["hard-sharing", "hard-sharing [control, 3,000 steps]"]
    assert not study.rows[1].lost  # a control need not have every seed


def test_studies_that_differ_in_a_number_stand_in_its_order(run: Any, tmp_path: Path) -> None:
    """10 behind 2, whatever the hashes of their names are."""
    for value in (10.0, 0.5, 2.0, 1.0):
        record = run("nddr", 0, data={"relatedness": value}, name=f"at-{value}") / "record.jsonl"
        record.write_text(record.read_text().replace('"f00d"', f'"f00d{value}"'))  # other data, which says nothing more
    assert [s.apart for s in studies(tmp_path)] == [f"relatedness {v}" for v in (0.5, 1.0, 2.0, 10.0)]


def test_studies_of_one_seed_come_last(run: Any, tmp_path: Path) -> None:
    """They rank nothing, so they do not stand before one that does."""
    run("nddr", 0, dataset="aaa", name="first by its name")
    for seed in (0, 1):
        run("nddr", seed, dataset="bbb")
    assert [s.config["dataset"] for s in studies(tmp_path)] == ["bbb", "aaa"]


def test_a_network_has_one_name_in_studies_of_the_same_data(run: Any, tmp_path: Path) -> None:
    """Also where it stands alone; another network of the method keeps the plain one."""
    for size in (1, 2):
        run("nddr", 0, options={"size": size}, name=f"first-{size}")
    run("nddr", 0, options={"size": 2}, steps=500, name="second")
    run("nddr", 0, options={"size": 3}, steps=700, name="third")
    found = {s.apart: labels(s) for s in studies(tmp_path)}
    assert list(found.values()) == [["nddr (size=2)"], ["nddr"], ["nddr (size=1)", "nddr (size=2)"]], found


def test_titles_tell_studies_of_the_same_tasks_apart(run: Any, synthetic: ModuleType, tmp_path: Path) -> None:
    run("nddr", 0)
    run("nddr", 0, tasks=synthetic.TASKS[:1])
    assert [s.apart for s in studies(tmp_path)] == ["", ""]
    run("nddr", 0, budget="final", name="final")
    run("nddr", 0, budget="final", width=0.5, name="wide")
    assert sorted(s.apart for s in studies(tmp_path)) == [
        "",
        "budget final, width 0.25",
        "budget final, width 0.5",
        "budget total, width 0.25",
    ]
    found = {title(s) for s in studies(tmp_path)}
    assert len(found) == 4
    assert "scenes: segmentation, normals (derived), depth (budget final, width 0.5)" in found


def test_budgets_are_never_in_one_table(run: Any, tmp_path: Path) -> None:
    for method in ("single-task", "adashare"):
        run(method, 0)
        run(method, 0, budget="final", name=f"{method}-final")
    found = {s.config["budget"]: s for s in studies(tmp_path)}
    assert set(found) == {"total", "final"}
    for budget, study in found.items():
        assert labels(study) == ["single-task", "adashare"]
        assert all(r.config["budget"] == budget for row in study.rows for r in row.every)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"status": "failed", "reason": "RuntimeError: no memory"}, "failed: RuntimeError: no memory"),
        ({"status": "diverged", "reason": "loss of depth"}, "diverged: loss of depth"),
        ({"status": "unfinished"}, "unfinished: the record has no end"),
    ],
)
def test_a_lost_run_keeps_its_reason(run: Any, tmp_path: Path, how: dict[str, Any], reason: str) -> None:
    run("nddr", 0)
    run("nddr", 1, **how)
    (study,) = studies(tmp_path)
    assert list(study.rows[0].runs) == [0]
    assert study.rows[0].lost[1].startswith(reason)


def test_a_missing_seed_is_said(run: Any, tmp_path: Path) -> None:
    run("nddr", 0)
    run("nddr", 1)
    run("mtan", 1)
    mtan = studies(tmp_path)[0].rows[0]
    assert mtan.lost == {0: "missing: no record of this seed"}


def test_finished_without_a_test_figure_does_not_count(run: Any, tmp_path: Path) -> None:
    folder = run("nddr", 0)
    lines = (folder / "record.jsonl").read_text().splitlines(keepends=True)
    (folder / "record.jsonl").write_text("".join(x for x in lines if '"purpose":"final"' not in x))
    (study,) = studies(tmp_path)
    assert "without an evaluation of the test split" in study.rows[0].lost[0]


def test_two_records_of_one_run_warn_and_the_newest_counts(run: Any, tmp_path: Path) -> None:
    old = run("nddr", 0)
    new = old.rename(old.with_name("copy"))
    record = (new / "record.jsonl").read_text()
    (new / "record.jsonl").write_text(record.replace("2025-01-01", "2025-02-02"))
    run("nddr", 0)
    (study,) = studies(tmp_path)
    assert study.rows[0].runs[0].id == "copy"
    assert "2 records" in study.warnings[0]


def test_the_order_of_records_does_not_matter(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mtlbench import records

    for method in ("nddr", "mtan", "single-task"):
        for seed in (0, 1):
            run(method, seed)
    names = [(s.name, labels(s)) for s in studies(tmp_path)]
    forward = records.record_folders
    monkeypatch.setattr(records, "record_folders", lambda root: reversed(list(forward(root))))
    assert [(s.name, labels(s)) for s in studies(tmp_path)] == names


def test_an_undecided_policy_is_known(run: Any, tmp_path: Path) -> None:
    run("adashare", 0, undecided=True)
    run("adashare", 1)
    assert studies(tmp_path)[0].rows[0].undecided == [0]


def given(folder: Path, of: str, kind: str) -> None:
    """Say in a record whose control it is."""
    path = folder / "record.jsonl"
    told = f'"control_of":"{of}","control_kind":"{kind}"'
    path.write_text(path.read_text().replace('"control_of":null,"control_kind":null', told))


def test_a_control_of_other_steps_by_seed_is_one_row(run: Any, tmp_path: Path) -> None:
    """What equal FLOPs are in steps depends on the policy that a seed learned."""
    for seed in (0, 1):
        run("hard-sharing", seed)
        run("adashare", seed)
        given(run("hard-sharing", seed, steps=2000 + 100 * seed, role="control"), "adashare", "flops")
    (study,) = studies(tmp_path)
    (control,) = [r for r in study.rows if r.role == "control"]
    assert control.label == "hard-sharing [control: adashare's training FLOPs, 2,050 steps]"
    assert sorted(control.runs) == [0, 1]
    assert not study.warnings


def test_rows_of_one_method_have_the_control_that_took_what_they_did(run: Any, tmp_path: Path) -> None:
    for seed in (0, 1):
        run("hard-sharing", seed)
        for name, steps in (("short", 1500), ("long", 4000)):
            folder = run("adashare", seed, options={"search": name})
            path = folder / "record.jsonl"
            path.write_text(path.read_text().replace('"step":1000,"deployed_step"', f'"step":{steps},"deployed_step"'))
            given(run("hard-sharing", seed, steps=steps, role="control"), "adashare", "steps")
    (result,) = read(tmp_path).aggregates
    lines = {x.label: x for x in result.lines}
    assert not result.study.warnings
    for name, steps in (("short", "1,500"), ("long", "4,000")):
        found = controls(result, lines[f"adashare (search={name})"])
        assert found["steps"].label == f"hard-sharing [control: adashare's total steps, {steps} steps]"
