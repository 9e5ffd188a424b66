"""The plan of phases: every step belongs to one turn, draws and optimiser steps count what came before."""

import math

import pytest

from mtlbench.errors import ConfigError, PluginError
from mtlbench.method import Budget, Group, Phase, Turn
from mtlbench.training.plan import check_phases, make_plan, rate_factor, resolve_phases

A, B = Turn((Group("w"),), "train-a", steps=3), Turn((Group("p"),), "train-b", steps=2)
PHASES = (Phase("warm", 4), Phase("policy", 12, turns=(A, B)), Phase("final", 5, fresh=("w",), final=True))


def test_segments_cover_every_step_once_and_in_order():
    plan = make_plan(PHASES)
    assert [s for seg in plan for s in range(seg.start, seg.end)] == list(range(21))


def test_turns_repeat_in_order_and_the_last_is_cut():
    policy = [(s.round, s.turn_index, s.steps) for s in make_plan(PHASES) if s.phase.name == "policy"]
    assert policy == [(0, 0, 3), (0, 1, 2), (1, 0, 3), (1, 1, 2), (2, 0, 2)]


def test_draws_count_the_steps_taken_from_a_part_and_restart_when_fresh():
    plan = make_plan(PHASES)
    draws = {"train": 0, "train-a": 0, "train-b": 0}
    for segment in plan:
        if segment.phase.name == "final":
            assert segment.draw == 0
            continue
        assert segment.draw == draws[segment.turn.part]
        draws[segment.turn.part] += segment.steps


def test_optimiser_steps_count_a_kind_of_turn_over_its_phase():
    policy = [s for s in make_plan(PHASES) if s.phase.name == "policy"]
    assert [s.turn_step for s in policy] == [0, 0, 3, 2, 6]
    assert {s.turn_index: s.turn_steps for s in policy} == {0: 8, 1: 4}


def declare(budget):
    return (Phase("a", budget.steps // 3), Phase("b", budget.steps - budget.steps // 3, final=True))


@pytest.mark.parametrize("steps", [1, 2, 7, 100, 101])
def test_budgets(steps):
    total = resolve_phases(declare, Budget(steps, {}), final=False)
    assert sum(p.steps for p in total) == steps
    final = resolve_phases(declare, Budget(steps, {}), final=True)
    assert final[-1].steps == steps
    assert final[0].steps == pytest.approx(steps / 2, abs=1)


def test_phases_that_overspend_or_deploy_nothing_are_refused():
    with pytest.raises(PluginError, match="take 12 steps, the budget is 6"):
        resolve_phases(lambda b: (Phase("x", 2 * b.steps, final=True),), Budget(6, {}), final=False)
    with pytest.raises(PluginError, match="no final phase"):
        check_phases((Phase("x", 5),))
    with pytest.raises(PluginError, match="share a name"):
        check_phases((Phase("x", 5), Phase("x", 5, final=True)))


def test_schedules_by_hand():
    assert [rate_factor("constant", s, 10) for s in (0, 9)] == [1, 1]
    assert rate_factor("linear", 5, 10) == pytest.approx(0.5)
    assert [rate_factor("cosine", s, 10) for s in (0, 5, 10)] == pytest.approx([1, 0.5, 0])
    assert [rate_factor("step:4:0.5", s, 10) for s in (0, 3, 4, 8)] == [1, 1, 0.5, 0.25]
    assert [rate_factor("step:.5:0.1", s, 10) for s in (4, 5, 9)] == pytest.approx([1, 0.1, 0.1])
    rising = [rate_factor("cosine", s, 100, warmup=0.05) for s in range(7)]
    assert rising[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert rising[6] == pytest.approx(0.5 * (1 + math.cos(math.pi / 95)))


@pytest.mark.parametrize("wrong", ["cosin", "step:4", "step:a:b", "step:0:1", "constant:1"])
def test_wrong_schedules_say_what_is_allowed(wrong):
    with pytest.raises(ConfigError, match=r"allowed|step:4000:0\.5"):
        rate_factor(wrong, 0, 10)
