"""Who moves in a turn, and who does not."""

import pytest
import torch

from mtlbench.config import RunConfig
from mtlbench.errors import PluginError
from mtlbench.method import Group, Optimizer, Turn
from mtlbench.training.optimisers import TurnOptimizer, match_groups, thaw
from mtlbench.training.weighting import make_weighting
from tests.helpers.networks import tiny_method

NAMES = ["units.a", "units2.a", "units.b.c", "heads.d", "policy"]
CONFIG = RunConfig(method="m", tasks=("a",), steps=10)


def test_prefixes_are_whole_components_the_longest_wins_and_the_empty_one_is_the_rest():
    groups = (Group("units", lr=10), Group("units.b"), Group(""), Group("policy"))
    found = {g.prefix: names for g, names in match_groups(groups, NAMES).items()}
    assert found == {"units": ["units.a"], "units.b": ["units.b.c"], "": ["units2.a", "heads.d"], "policy": ["policy"]}


def test_an_unmatched_prefix_is_an_error_with_the_nearest():
    with pytest.raises(PluginError, match="'unit'; did you mean 'units'"):
        match_groups((Group("unit"),), NAMES)


def make(turn, weighting="fixed"):
    method = tiny_method("hard-sharing")
    weights = make_weighting(weighting, method.tasks, {})
    return method, weights, TurnOptimizer(turn, method, weights, CONFIG)


def test_only_the_turns_parameters_and_statistics_move():
    method, weights, optimizer = make(Turn((Group("heads"),)))
    before = {k: v.clone() for k, v in method.state_dict().items()}
    optimizer.freeze_others(method, weights)
    for _ in range(2):
        outputs = method.train()(torch.randn(4, 3, 32, 32), [t.name for t in method.tasks])
        sum(o.square().mean() for o in outputs.values()).backward()
        optimizer.torch.step()
    changed = {k for k, v in method.state_dict().items() if not torch.equal(v, before[k])}
    assert changed
    assert all(k.startswith("heads.") for k in changed)
    thaw(method)
    method(torch.randn(4, 3, 32, 32), ["depth"])
    assert not torch.equal(method.state_dict()["backbone.stem.1.running_mean"], before["backbone.stem.1.running_mean"])


def test_multipliers_and_decay_reach_their_groups():
    turn = Turn((Group("heads", lr=3.0, weight_decay=0.5), Group("")), optimizer=Optimizer("sgd", lr=0.1))
    _, _, optimizer = make(turn)
    by_size = {g["weight_decay"]: g for g in optimizer.torch.param_groups}
    assert set(by_size) == {0.5, CONFIG.weight_decay}
    from mtlbench.method import Phase
    from mtlbench.training.plan import make_plan

    (segment,) = make_plan((Phase("p", 10, turns=(turn,), final=True),))
    optimizer.set_rate(segment, 5)
    assert by_size[0.5]["lr"] == pytest.approx(3 * by_size[CONFIG.weight_decay]["lr"])


def test_learned_task_weights_join_turns_that_train_heads_only():
    assert make(Turn((Group("heads"),)), "uncertainty")[2].trains_heads
    _, weights, optimizer = make(Turn((Group("backbone"),)), "uncertainty")
    assert not optimizer.trains_heads
    assert all(p is not weights.log_variance for g in optimizer.torch.param_groups for p in g["params"])


def test_an_unknown_optimiser_or_option_is_named():
    with pytest.raises(Exception, match="unknown optimizer 'sdg'; did you mean 'sgd'"):
        make(Turn(optimizer=Optimizer("sdg")))
    with pytest.raises(PluginError, match="'sgd' with options"):
        make(Turn(optimizer=Optimizer("sgd", options={"betas": (0.9, 0.9)})))
