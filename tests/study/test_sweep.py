"""A sweep: one study a point, each with runs of its own; what cannot be swept is refused in one line."""

from __future__ import annotations

import json

import pytest

from mtlbench import records
from mtlbench.errors import MtlbenchError
from mtlbench.runs import runner
from mtlbench.study import following, study
from mtlbench.study.controls import Spent, controls
from mtlbench.study.display import label
from mtlbench.study.settings import gather
from mtlbench.study.start import run_study
from mtlbench.study.sweep import simplex

TINY = ["related.items=40", "related.test_items=20", "run.width=0.0625", "run.steps=4", "run.batch_size=4"]


def make(sweep, dataset="related", methods="hard-sharing,adashare", more=(), **flags):
    """A study with this sweep."""
    given = {"methods": methods, "dataset": dataset, "device": "cpu", "sweep": sweep, "set": [*TINY, *more]}
    return study.resolve(gather(given | flags))


def asked(sweep, **flags):
    return study.runs(make(sweep, **flags))


# --- points


def test_two_tasks_have_five_points_by_default_whose_weights_sum_to_two():
    found = [r.config.weights for r in asked("weights", methods="hard-sharing")]
    assert found == [
        {"task1": 1.8, "task2": 0.2},
        {"task1": 1.4, "task2": 0.6},
        {"task1": 1.0, "task2": 1.0},
        {"task1": 0.6, "task2": 1.4},
        {"task1": 0.2, "task2": 1.8},
    ]


def test_shares_of_the_second_task_can_be_named_and_multiply_the_weights_of_the_study():
    found = [r.config.weights for r in asked("weights=0,.25", methods="hard-sharing", weights="task1=1,task2=20")]
    assert found == [{"task1": 2.0, "task2": 0.0}, {"task1": 1.5, "task2": 10.0}]


@pytest.mark.parametrize("count", [3, 5, 8])
def test_more_tasks_have_a_small_simplex_that_treats_them_alike(count):
    names = [f"t{i}" for i in range(count)]
    points = [tuple(p[n] for n in names) for p in simplex(dict.fromkeys(names, 1.0))]
    assert len(set(points)) == len(points) == 2 * count + 1
    assert points[0] == (1.0,) * count
    for point in points:
        assert sum(point) == pytest.approx(count, abs=1e-5)
        assert min(point) > 0
        assert len(set(point)) <= 2
    turned = {(*p[1:], p[0]) for p in points}
    assert turned == set(points)  # the tasks in another order: the same points


def test_points_of_weights_have_the_folders_that_the_same_weights_named_have():
    plain = study.runs(
        study.resolve(
            gather(
                {"methods": "hard-sharing", "dataset": "related", "weights": "task1=1.4,task2=.6", "set": TINY}
                | {"device": "cpu"}
            )
        )
    )
    folders = [runner.standing(r).folder for r in asked("weights", methods="hard-sharing")]
    assert len(set(folders)) == 5
    assert runner.standing(plain[0]).folder == folders[1]


def test_an_option_of_the_data_set_is_swept_and_the_runs_say_at_which_point():
    found = asked("related.relatedness=0,.5,1", seeds="3,4")
    assert [(r.config.seed, r.config.data["relatedness"], r.config.method) for r in found[:4]] == [
        (3, 0.0, "hard-sharing"),
        (3, 0.0, "adashare"),
        (3, 0.5, "hard-sharing"),
        (3, 0.5, "adashare"),
    ]
    assert len({runner.standing(r).folder for r in found}) == len(found) == 12
    assert label(found[2]) == "hard-sharing seed 3 at relatedness 0.5"


def test_keys_of_the_training_are_swept():
    found = asked("run.weights={task1: 2},{task2: 3}", methods="hard-sharing")
    assert [r.config.weights for r in found] == [{"task1": 2.0}, {"task2": 3.0}]
    assert [r.config.steps for r in asked("run.steps=2,3", methods="hard-sharing")] == [2, 3]


def test_what_a_sweep_does_not_change_runs_once():
    found = asked("adashare.lambda_sparsity=0,.01")
    assert [r.config.method for r in found] == ["hard-sharing", "adashare", "adashare"]


# --- in a study


def test_who_follows_another_follows_it_at_its_own_point(tmp_path):
    small = ["adashare.lambda_sparsity=5", "run.head=4", "run.evaluations=1", "run.steps=10"]
    found = asked("related.relatedness=0,1", methods="adashare,random-policy", more=small, seeds="0", out=str(tmp_path))
    outcomes = following.in_order(found, lambda some: [runner.execute(r) for r in some])
    assert [o.status for o in outcomes] == ["finished"] * 4
    for learned, random in (outcomes[:2], outcomes[2:]):
        decided = json.loads((learned.folder / "policy.json").read_text())["decided"]
        like = records.read_run(random.folder).start.config["options"]["like"]
        assert like == ",".join("".join(map(str, row)) for row in decided)


def test_each_point_has_controls_of_its_own():
    made = make("related.relatedness=0,1", budget="final")
    found = study.runs(made)
    taken = [Spent(10 if r.config.method == "adashare" else 4) for r in found]
    extra = controls(made, found, taken)
    assert [(c.config.data["relatedness"], c.config.steps, c.point) for c in extra] == [
        (0.0, 10, "relatedness 0"),
        (1.0, 10, "relatedness 1"),
    ]


def test_a_notebook_sweeps_too(tmp_path):
    done = run_study(
        methods="hard-sharing", dataset="related", sweep="weights=.2,.8", set=TINY, out=str(tmp_path), device="cpu"
    )
    assert [o.status for o in done.outcomes] == ["finished"] * 2
    assert [r.start.config["weights"] for o in done.outcomes if (r := records.read_run(o.folder))] == [
        {"task1": 1.6, "task2": 0.4},
        {"task1": 0.4, "task2": 1.6},
    ]


# --- what is refused


@pytest.mark.parametrize(
    ("sweep", "flags", "message"),
    [
        ("weights", {"tune": 2}, "--sweep with --tune 2: tuned at which point? (allowed: one of the two)"),
        ("weigths", {}, "unknown sweep 'weigths'; did you mean 'weights'? (allowed: "),
        ("relatedness", {}, "unknown sweep 'relatedness'"),
        ("related.relatedness", {}, "unknown sweep 'related.relatedness'"),
        ("relatd.relatedness=0,1", {}, "unknown owner in --sweep 'relatd'; did you mean 'related'?"),
        ("den.dropout=0,1", {}, "unknown owner in --sweep 'den' (allowed: adashare, hard-sharing, related, run)"),
        ("related.relatednes=0,1", {}, "unknown option of data set related 'relatednes'; did you mean 'relatedness'?"),
        ("run.stepz=1,2", {}, "unknown option of run 'stepz'; did you mean 'steps'?"),
        ("related.relatedness=0,7", {}, "'relatedness' is 7: allowed: from -1, at most 1"),
        ("related.relatedness=1", {}, "has 1 values (allowed: 2 to 100, each once)"),
        ("related.relatedness=0,.5,0", {}, "has 3 values (allowed: 2 to 100, each once)"),
        ("related.relatedness=", {}, "has 0 values"),
        ("related.relatedness=[0", {}, "--sweep 'related.relatedness=[0': "),
        ("weights=.5,2", {}, "--sweep weights has the share 2 (allowed: 0 to 1, of the second task)"),
        ("weights=a,b", {}, "--sweep weights has the share a (allowed: 0 to 1, of the second task)"),
        ("weights=.1,.9", {"more": ["related.count=3"]}, "with shares and 3 tasks"),
        ("weights", {"tasks": "task2"}, "--sweep weights with the task task2 alone (allowed: with two or more tasks)"),
        ("weights", {"weighting": "dwa"}, "--weights with --weighting dwa, which sets its own (allowed: fixed)"),
    ],
)
def test_what_cannot_be_swept_is_said_in_one_line(sweep, flags, message):
    with pytest.raises(MtlbenchError) as caught:
        make(sweep, **flags)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
