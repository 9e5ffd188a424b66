"""Hard sharing given each method's own training, and a study carried out to the end of its controls."""

from __future__ import annotations

import pytest

from mtlbench import records
from mtlbench.runs.assembly import Assembly
from mtlbench.study import controls, start, study
from mtlbench.study.controls import Spent
from tests.study.test_study import BOTH, BRANCHES, DISCS, make


def test_under_budget_final_hard_sharing_runs_again_with_each_methods_own_training():
    made = make(methods=f"{BOTH},{BRANCHES}", budget="final", seeds="0,1")
    taken = [Spent(60, 120.0), Spent(60, 60.0), Spent(150, 90.0), Spent(60, 121.4), Spent(60, 60.0), Spent(140, 60.0)]
    extra = controls.controls(made, study.runs(made), taken)
    told = [(r.config.seed, r.control_of, r.control_kind, r.config.steps) for r in extra]
    assert told == [
        (0, "single-task", "flops", 120),  # as many steps as hard sharing: no control of its own by steps
        (0, "branches", "steps", 150),
        (0, "branches", "flops", 90),
        (1, "single-task", "flops", 121),
        (1, "branches", "steps", 140),  # hard sharing's FLOPs: the study's own run is that control
    ]
    assert {(r.config.method, r.config.role) for r in extra} == {("hard-sharing", "control")}
    assert len({Assembly(r).folder for r in extra}) == len(extra)


def test_a_control_waits_for_what_its_method_took():
    made = make(methods=f"{BOTH},{BRANCHES}", budget="final")
    known, ahead, lost = Spent(60, 60.0), Spent(90), None
    extra = controls.controls(made, study.runs(made), [lost, known, ahead])
    assert [(r.control_of, r.control_kind, r.config.steps) for r in extra] == [("branches", "steps", 90)]
    assert controls.controls(made, study.runs(made), [known, lost, known]) == []


def test_no_controls_where_nobody_takes_more_or_the_budget_is_another():
    made, taken = make(budget="final"), [Spent(60, 60.0)] * 2
    assert controls.controls(made, study.runs(made), taken) == []
    made = make(budget="compute")
    assert controls.controls(made, study.runs(made), [Spent(60, 99.0), Spent(60, 60.0)]) == []


def test_conduct_runs_the_controls_its_records_call_for_and_prints_nothing(tmp_path, capsys):
    given = {"methods": BOTH, "dataset": DISCS, "device": "cpu", "set": ["discs.images=16", "run.width=0.0625"]}
    done = start.run_study(**given, steps=2, batch_size=2, budget="final", out=str(tmp_path), workers=1, threads=1)
    assert capsys.readouterr().out == ""
    assert [o.status for o in done.outcomes] == ["finished"] * 3 and done.failed == []
    single, hard, control = (records.read_run(o.folder) for o in done.outcomes)
    assert (control.start.method, control.start.role) == ("hard-sharing", "control")
    assert (control.start.control_of, control.start.control_kind) == ("single-task", "flops")
    assert control.end.training_flops == pytest.approx(single.end.training_flops, abs=hard.end.training_flops / 4)
