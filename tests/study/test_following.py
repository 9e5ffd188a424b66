"""Runs that follow another's: after it, with what it found, and one line where it is not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.errors import ConfigError
from mtlbench.report import report
from mtlbench.runs import runner
from mtlbench.study import following, study
from mtlbench.study.settings import gather

TOY = f"{Path(__file__).parents[1] / 'helpers' / 'toy.py'}:Toy"
SMALL = ["run.width=0.0625", "run.head=4", "run.steps=10", "run.batch_size=2", "run.evaluations=1", "toy.images=20"]
SKIPPING = ["adashare.lambda_sparsity=5"]


def requests(out: Path, methods: str, *settings: str, seeds: str = "0") -> list[runner.Request]:
    given = {"methods": methods, "dataset": TOY, "out": str(out), "device": "cpu", "seeds": seeds}
    return study.runs(study.resolve(gather({**given, "set": [*SMALL, *SKIPPING, *settings]})))


def launch(some: list[runner.Request]) -> list[runner.Outcome]:
    return [runner.execute(r) for r in some]


def policy(outcome: runner.Outcome) -> list[list[int]]:
    return json.loads((outcome.folder / "policy.json").read_text())["decided"]


def test_controls_run_after_the_policy_they_follow_and_say_what_they_ran(tmp_path: Path) -> None:
    asked = requests(tmp_path, "random-policy,adashare,shuffled-policy", seeds="0,1")
    outcomes = following.in_order(asked, launch)
    assert [o.status for o in outcomes] == ["finished"] * 6
    for random, learned, shuffled in (outcomes[:3], outcomes[3:]):
        counts = [row.count(0) for row in policy(learned)]
        assert [row.count(0) for row in policy(random)] == counts
        assert sorted(policy(shuffled)) == sorted(policy(learned))
        like = records.read_run(random.folder).start.config["options"]["like"]
        assert like == ",".join("".join(map(str, row)) for row in policy(learned))
    follows = records.read_run(outcomes[2].folder).start.follows
    assert follows is not None and (follows.method, follows.taken) == ("adashare", ["like"])
    assert follows.options == records.read_run(outcomes[1].folder).start.config["options"]
    (study,) = [a.study for a in report.read(tmp_path).aggregates]
    rows = {r.label: sorted(r.runs) for r in study.rows}
    assert rows == {"adashare": [0, 1], "random-policy": [0, 1], "shuffled-policy": [0, 1]}
    again = following.in_order(asked, launch)
    assert [(o.folder, o.status, o.skipped) for o in again] == [(o.folder, "finished", True) for o in outcomes]
    # alone, later: the run in the results folder is followed
    (alone,) = following.in_order(requests(tmp_path, "random-policy"), launch)
    assert alone.folder == outcomes[0].folder


def test_who_follows_two_settings_of_a_method_has_two_rows(tmp_path: Path) -> None:
    for sparsity in (5.0, 0.01):
        asked = requests(tmp_path, "adashare,random-policy", f"adashare.lambda_sparsity={sparsity}", seeds="0,1")
        outcomes = following.in_order(asked, launch)
        assert [o.status for o in outcomes] == ["finished"] * 4
    assert policy(outcomes[1]) != policy(outcomes[3])  # what is taken differs by seed, and a row holds both
    (study,) = [a.study for a in report.read(tmp_path).aggregates]
    rows = {r.label: sorted(r.runs) for r in study.rows}
    assert rows == {
        "adashare (lambda_sparsity=0.01)": [0, 1],
        "adashare (lambda_sparsity=5.0)": [0, 1],
        "random-policy (adashare.lambda_sparsity=0.01)": [0, 1],
        "random-policy (adashare.lambda_sparsity=5.0)": [0, 1],
    }


def test_where_there_is_none_to_follow_the_others_go_on(tmp_path: Path) -> None:
    hard, random = following.in_order(requests(tmp_path, "hard-sharing,random-policy"), launch)
    assert hard.status == "finished"
    assert random.status == "failed"
    assert "no finished run with these settings (name adashare in --methods too)" in random.reason


def test_a_run_that_did_not_finish_is_not_followed(tmp_path: Path) -> None:
    asked = requests(tmp_path, "adashare,random-policy")
    folder = runner.plan(asked[0]).folder
    with pytest.raises(ConfigError, match="the run of adashare to follow cannot be read"):
        following.completed(asked[1], {("adashare", 0, ""): folder})
    runner.abandon(asked[0], "killed")
    with pytest.raises(ConfigError, match="the run of adashare to follow is failed"):
        following.completed(asked[1], {("adashare", 0, ""): folder})


def test_trials_follow_nobody(tmp_path: Path) -> None:
    (asked,) = requests(tmp_path, "random-policy")
    assert following.follows(asked) == "adashare"
    trial = replace(asked, config=asked.config.model_copy(update={"role": "tune"}))
    assert following.follows(trial) is None
    assert following.completed(trial) is trial


def test_the_runner_refuses_what_nobody_completed(tmp_path: Path) -> None:
    outcome = runner.execute(requests(tmp_path, "random-policy")[0])
    assert (outcome.status, outcome.reason) == (
        "failed",
        "random-policy follows a run of adashare: only a study knows which",
    )


def test_hard_sharing_is_narrowed_to_what_is_deployed(tmp_path: Path) -> None:
    hard, learned, narrow = following.in_order(
        requests(tmp_path, "hard-sharing,adashare,hard-sharing-narrow", "run.width=0.25"), launch
    )
    assert narrow.status == "finished", narrow.reason
    whole, aim, made = (records.read_run(o.folder).cost for o in (hard, learned, narrow))
    assert whole is not None and aim is not None and made is not None
    assert made.parameters.backbone <= 1.05 * min(aim.parameters.backbone, whole.parameters.backbone)
    assert made.macs.backbone <= 1.05 * min(aim.macs.backbone, whole.macs.backbone)
    sides = (made.parameters.backbone / aim.parameters.backbone, made.macs.backbone / aim.macs.backbone)
    assert max(sides) > 0.9 or made.macs.backbone == whole.macs.backbone  # no smaller than it must be
    assert records.read_run(narrow.folder).start.config["options"]["macs"] == aim.macs.backbone
