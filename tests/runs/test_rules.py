"""Several rules of selection, read off one training: each deploys what a run of its own would have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.config import RunConfig
from mtlbench.runs import runner

TOY = f"{Path(__file__).parents[1] / 'helpers' / 'toy.py'}:Toy"
RULES = ("last", "best-val", "best-test-oracle")


def run(out: Path, method: str = "hard-sharing", **settings: object) -> records.Run:
    fixed = {"method": method, "dataset": "toy", "data": {"images": 20}, "tasks": ("segmentation", "depth"), "head": 4}
    small = {"width": 0.0625, "steps": 36, "batch_size": 2, "lr": 0.3, "schedule": "constant"}
    config = RunConfig.model_validate({**fixed, **small, **settings})
    outcome = runner.execute(runner.Request(config, method=method, dataset=TOY, out=str(out)))
    assert outcome.status == "finished", outcome.reason
    return records.read_run(outcome.folder)


def test_each_rule_deploys_what_a_run_of_its_own_would(tmp_path: Path) -> None:
    together = run(tmp_path, evaluations=6, also=("best-test-oracle", "best-val"))
    apart = {rule: run(tmp_path, evaluations=6, selection=rule) for rule in RULES}
    for split in ("val", "test"):
        found = together.rules(split)
        assert set(found) == set(RULES)
        for rule in RULES:
            alone = apart[rule].final(split)
            assert alone is not None
            assert (found[rule].metrics, found[rule].gain) == (alone.metrics, alone.gain)
    assert len({e.step for e in together.rules().values()}) > 1  # they do not all choose alike here
    test = {e.step: e.gain for e in together.evals if e.purpose == "oracle"}
    assert together.rules()["best-test-oracle"].gain == max(test.values())
    assert test[together.rules()["best-val"].step] == together.rules()["best-val"].gain


def test_a_trial_never_looks_at_test(tmp_path: Path) -> None:
    trial = run(tmp_path, role="tune", selection="best-test-oracle", also=("best-val",))
    assert {e.split for e in trial.evals} == {"val"}


def test_sampled_policies_all_retrained_and_chosen_on_validation_and_on_test(tmp_path: Path) -> None:
    options = {"select": "sample", "candidates": 3, "retrained": "all", "init": "random"}
    both = run(tmp_path, "adashare", options=options, evaluations=1, also=("best-val", "best-test-oracle"))
    final = [p["name"] for p in both.start.phases if p["final"]]
    assert final == ["candidate-0", "candidate-1", "candidate-2"]
    ends = {
        split: {e.phase: e for e in both.evals if e.split == split and e.purpose in ("curve", "oracle")}
        for split in ("val", "test")
    }
    chosen = {"last": final[-1]} | {
        rule: max(final, key=lambda name, split=split: ends[split][name].gain)
        for rule, split in (("best-val", "val"), ("best-test-oracle", "test"))
    }
    for rule, phase in chosen.items():
        assert both.rules()[rule].phase == phase
        assert both.rules()[rule].gain == pytest.approx(ends["test"][phase].gain)
    kept = json.loads((both.folder / "policy.json").read_text())
    assert [c["chosen"] for c in kept["candidates"]] == [False, False, True]  # what is deployed is the last
    assert kept["decided"] == kept["candidates"][2]["policy"]
