"""Tuning: one space for all methods, points that never repeat, seeds outside the study, and what is chosen."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.config import RunConfig
from mtlbench.errors import RecordError
from mtlbench.runs.request import Outcome
from mtlbench.study import conduct, entries, study, tuning
from mtlbench.study.settings import Settings
from tests.study.test_study import BOTH, BRANCHES, DISCS, make

SHARED = ("lr", "weight_decay", "dropout", "weights")


def test_points_are_sobols_and_never_repeat():
    first = [tuning.sobol(3, i) for i in range(1, 5)]
    assert first == [(0.5, 0.5, 0.5), (0.75, 0.25, 0.25), (0.25, 0.75, 0.75), (0.375, 0.375, 0.625)]  # Joe and Kuo
    assert [tuning.sobol(5, i)[:3] for i in range(1, 5)] == first
    made = make()
    points = [str(tuning.point(made, made.entries[0], i)) for i in range(64)]
    assert len(set(points)) == 64


def test_no_value_is_tried_twice_not_even_the_ones_the_method_stands_at():
    """Four trials once had the factors 1, 1, .45 and 2.24 on the learning rate."""
    made = make()
    own = {"lr": 0.003, "weight_decay": 1e-4, "weights": {"disc": 1.0, "distance": 1.0}}
    tried = [{**own, **tuning.point(made, made.entries[0], i)} for i in range(32)]
    for key in own:
        assert len({str(values[key]) for values in tried}) == 32
    assert [round(values["lr"] / 0.003, 2) for values in tried[:4]] == [1.0, 2.24, 0.45, 0.67]


def test_every_method_gets_the_same_points_and_more_trials_only_add():
    made = make(methods=f"{BOTH},{BRANCHES},cross-stitch", tune="4")
    points = [
        [{k: v for k, v in tuning.point(made, e, i).items() if k in SHARED} for i in range(4)] for e in made.entries
    ]
    assert all(own == points[0] for own in points)
    trials = tuning.trials(made)
    assert len(trials) == 4 * 4 * 2
    fewer = tuning.trials(make(methods=f"{BOTH},{BRANCHES},cross-stitch", tune="2"))
    assert [r.config for r in fewer[:4]] == [r.config for r in trials[:4]]
    assert [(r.trial, r.config.seed) for r in trials[:4]] == [(0, 10000), (0, 10001), (1, 10000), (1, 10001)]


def test_points_lie_in_the_space():
    made = make(weights="distance=4")
    for i in range(1, 40):
        values = tuning.point(made, made.entries[0], i)
        assert 0.2 * 0.003 <= values["lr"] <= 5 * 0.003
        assert 1e-5 <= values["weight_decay"] <= 1e-3
        assert 0 <= values["dropout"] <= 0.5
        factors = values["weights"]["disc"], values["weights"]["distance"] / 4  # over the study's own weights
        assert sum(factors) == pytest.approx(2, rel=0.01) and min(factors) >= 0.05
        assert "options" not in values  # single-task has no knob


def test_weights_that_are_not_fixed_are_left_alone():
    made = make(weighting="dwa")
    assert "weights" not in tuning.point(made, made.entries[0], 3)


def test_the_simplex_is_covered_evenly():
    drawn = [tuning.simplex(tuning.sobol(2, i)) for i in range(1, 1025)]
    assert [sum(d[k] for d in drawn) / 1024 for k in range(3)] == pytest.approx([1, 1, 1], abs=0.01)
    below = sum(d[0] < 0.05 + 0.95 * 3 * 0.5 for d in drawn) / 1024  # of a flat Dirichlet of 3: 1 - (1 - x)^2 at .5
    assert below == pytest.approx(0.75, abs=0.01)


def test_trials_use_seeds_outside_the_study_and_a_larger_validation_part():
    for seeds in ("0", "10000-10002", "10001"):
        made = make(tune="1", tune_steps="7", tune_seeds="3", seeds=seeds)
        trials = tuning.trials(made)
        assert len({r.config.seed for r in trials}) == 3
        for request in trials:
            assert request.config.role == "tune" and request.config.steps == 7
            assert request.config.seed not in made.settings.seeds
            assert request.config.data["val_fraction"] == 0.2
    assert study.runs(made)[0].config.data["val_fraction"] == 0.1


@pytest.mark.parametrize(
    ("name", "option"), [("cross-stitch", "units_lr"), ("den", "cost"), ("adashare", "lambda_sharing")]
)
def test_a_methods_own_knobs_are_tried_in_their_range(name, option):
    entry = entries.entry(name)
    knob = entry.cls.knobs()[option]
    tried = [tuning.point(make(), entry, i)["options"][option] for i in range(1, 33)]
    assert len(set(tried)) == 32 and knob.low <= min(tried) < max(tried) <= knob.high
    assert sum(v < math.sqrt(knob.low * knob.high) for v in tried) == pytest.approx(16, abs=1)  # evenly by factors
    assert math.isclose(min(tried) * max(tried), knob.low * knob.high, rel_tol=0.35)


def outcomes(*scores):
    """Two seeds a trial."""
    return [Outcome(Path(), status, "", score, error=error) for status, score, error in scores]


def test_the_best_mean_on_validation_is_chosen_and_a_trial_that_lost_a_seed_is_not():
    made = make(methods=BOTH, tune="3")
    lost, failed = ("diverged", None, None), ("failed", 9.0, 0.1)
    good = [("finished", 0.1, 0.1), ("finished", 0.3, 0.3), ("finished", 0.35, 0.2), ("finished", 0.15, 0.4)]
    chosen = tuning.choose(
        made, outcomes(*good, ("finished", 7.0, 0.1), lost, lost, lost, failed, failed, lost, failed)
    )
    best = chosen["single-task"]
    assert (best.trial, best.score, best.error) == (1, pytest.approx(0.25), pytest.approx(0.3))
    assert best.values == tuning.point(made, made.entries[0], 1)
    assert chosen["hard-sharing"] == tuning.Choice({})  # it stands as it is
    requests = study.runs(made, {n: c.values for n, c in chosen.items()})
    assert requests[0].config.lr == best.values["lr"] and requests[0].config.weights == best.values["weights"]
    assert (requests[0].config.role, requests[1].config.lr) == ("study", 0.003)


def test_the_earlier_of_equal_trials_is_chosen():
    made = make(methods="hard-sharing", tune="3")
    (choice,) = tuning.choose(made, outcomes(*[("finished", 0.2, 0.1)] * 6)).values()
    assert choice.trial == 0 and choice.values == {}
    assert tuning.describe(choice) == "as it stands (score 0.200, standard error 0.100)"


def test_a_knob_goes_to_the_options():
    made = make(methods="cross-stitch", tune="2")
    (request,) = study.runs(made, {"cross-stitch": {"lr": 0.01, "options": {"units_lr": 10.0}}})
    assert (request.config.lr, request.config.options["units_lr"]) == (0.01, 10.0)


def test_tuning_from_trials_to_runs(tmp_path):
    given = {
        "methods": "hard-sharing",
        "dataset": DISCS,
        "device": "cpu",
        "set": ["discs.images=20", "run.width=0.0625"],
    }
    sizes = {"steps": 3, "tune_steps": 2, "batch_size": 2, "workers": 1, "threads": 1}
    made = make(**{**given, **sizes}, tune="2", out=str(tmp_path))
    assert tuning.chosen_so_far(made) == {}
    done = conduct.conduct(made)
    choice = done.chosen["hard-sharing"]
    assert tuning.chosen_so_far(made) == done.chosen and choice.trial in (0, 1)
    (outcome,) = done.outcomes
    config = records.read_run(outcome.folder).start.config
    assert {k: config[k] for k in choice.values} == choice.values
    trial = records.read_run(next(f for f in records.record_folders(tmp_path) if "-s10000-" in f.name))
    assert trial.final("test") is None and trial.final("val").gain_error > 0
    assert replace(choice, trial=None) != choice


def test_every_setting_and_every_key_has_a_sentence():
    for model in (RunConfig, Settings):
        for name, field in model.model_fields.items():
            assert (field.description or "").endswith("."), name


def test_a_trial_that_another_process_runs_is_waited_for(tmp_path):
    made = make(methods="hard-sharing", tune="2", tune_seeds="2")
    outcomes = [Outcome(Path(), "finished", "", 0.2)] * 3 + [Outcome(Path("there"), "busy", "", None)]
    with pytest.raises(RecordError, match=r"1 of 4 trials are run by another process: the same command again .*there"):
        tuning.choose(made, outcomes)
