"""FLOPs told ahead are those that the loop counts, and under a budget of them every method spends hard sharing's."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.method import Budget, Phase
from mtlbench.runs import course, runner
from mtlbench.runs.assembly import Assembly
from mtlbench.training.compute import SHADOWS, Account, Estimate
from mtlbench.training.plan import declaring, make_plan
from tests.runs.test_runner import DOMAINS, Killed, kill_at, numbers, request

STEPS = 12


def told(asked: runner.Request) -> tuple[Estimate, float]:
    """A run's estimate, and what it says of its phases."""
    parts = Assembly(asked)
    method = parts.method()
    estimate = Estimate(method, parts.dataset, asked.config.batch_size)
    return estimate, estimate.whole(parts.phases(method))


def spent(outcome: runner.Outcome) -> float:
    end = records.read_run(outcome.folder).end
    assert outcome.status == "finished" and end is not None, outcome.reason
    return end.training_flops


@pytest.mark.parametrize("method", ["single-task", "sluice"])
def test_what_is_told_ahead_is_what_training_counts(tmp_path: Path, method: str) -> None:
    asked = request(tmp_path, method=method)
    estimate, flops = told(asked)
    assert flops == spent(runner.execute(asked)) > 0
    _, plain = told(request(tmp_path, method="hard-sharing"))
    assert estimate.plain() == plain / STEPS


def test_streams_count_too(tmp_path: Path) -> None:
    asked = request(tmp_path, dataset=DOMAINS, tasks=("art", "photo"))
    assert told(asked)[1] == spent(runner.execute(asked))


def test_every_shadow_counts_the_same(tmp_path: Path) -> None:
    """The meta device, only the layers on it, and the method as it is."""
    estimate, _ = told(request(tmp_path, method="adashare"))
    (policy,) = [s for s in make_plan(declaring(estimate.method)(_budget())) if s.phase.name == "policy"][:1]
    counts = {estimate._count(policy, policy.start, shadow) for shadow in SHADOWS}
    assert len(counts) == 1


def _budget() -> Budget:
    return Budget(20, {"train": 9, "train-a": 7, "train-b": 2})


def test_a_copy_of_a_policy_that_changed_is_read_again(tmp_path: Path) -> None:
    method = Assembly(request(tmp_path, method="adashare")).method()
    for block in range(4):
        method.decisions()  # read, and remembered by the tensor's version, which a copy counts anew
        method.decided[0, block] = False
        assert copy.deepcopy(method).decisions() == method.rows(method.decided.clone())


def test_hard_sharing_under_a_budget_of_flops_is_itself(tmp_path: Path) -> None:
    plain, compute = (runner.execute(request(tmp_path, budget=b)) for b in ("total", "compute"))
    assert numbers(plain.folder) == numbers(compute.folder)


@pytest.mark.parametrize("method", ["single-task", "adashare"])
def test_every_method_spends_what_hard_sharing_spends(tmp_path: Path, method: str) -> None:
    plain = told(request(tmp_path))[1] / STEPS
    outcome = runner.execute(request(tmp_path, method=method, budget="compute", steps=20))
    end = records.read_run(outcome.folder).end
    assert spent(outcome) == pytest.approx(20 * plain, abs=plain)  # a step, of up to two tasks' passes, is not split
    assert end is not None and end.step != 20


def test_a_share_for_every_final_phase_that_is_to_come(tmp_path: Path) -> None:
    estimate, flops = told(request(tmp_path))
    phases = (Phase("a", 10, final=True), Phase("b", 30, final=True))
    account = Account(flops / STEPS * 80, estimate)
    assert account.settled(phases, 0, 0.0) == 20
    assert account.settled(phases, 1, flops / STEPS * 20) == 60
    assert account.settled(phases, 1, flops / STEPS * 100) == 1  # nothing is left: what is deployed has a step


def test_a_killed_run_under_a_budget_of_flops_ends_with_the_same_bits(tmp_path, monkeypatch) -> None:
    settings = {"method": "adashare", "budget": "compute", "steps": 14}
    whole = runner.execute(request(tmp_path / "whole", **settings))
    last = records.read_run(whole.folder).end.step - 2
    again = request(tmp_path / "cut", **settings)
    with monkeypatch.context() as patch:
        patch.setattr(course, "SAVE_SECONDS", 0.0)
        kill_at(patch, last)
        with pytest.raises(Killed):
            runner.execute(again)
    assert numbers(runner.execute(again).folder) == numbers(whole.folder)
