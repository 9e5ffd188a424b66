"""Random policies skip as many blocks as asked, anywhere, by the seed alone."""

from __future__ import annotations

import pytest
import torch

from adashare.random_policy import draw_policy
from mtlbench.errors import ConfigError
from mtlbench.method import Budget
from mtlbench.seeding import generator
from tests.helpers.networks import tiny_method


def policy(tasks: int = 5, seed: int = 0, **options: object) -> torch.Tensor:
    return tiny_method("random-policy", tasks, options, seed=seed).decided


@pytest.mark.parametrize(("skip", "count"), [(0.0, 0), (0.15, 6), (0.5, 20), (1.0, 40)])
def test_overall_share(skip: float, count: int) -> None:
    assert int((~policy(skip=skip)).sum()) == count


def test_share_for_each_task() -> None:
    assert (~policy(skip=0.25, per="task")).sum(1).tolist() == [2] * 5


def test_counts_of_a_learned_policy() -> None:
    like = "11111111,10111110,00111111"
    assert (~policy(3, like=like, per="task")).sum(1).tolist() == [0, 2, 2]
    assert (~policy(3, like=like)).sum() == 4


def test_drawn_by_the_seed() -> None:
    assert torch.equal(policy(seed=3, skip=0.5), policy(seed=3, skip=0.5))
    assert not torch.equal(policy(seed=3, skip=0.5), policy(seed=4, skip=0.5))


def test_drawn_uniformly() -> None:
    skipped = ~torch.stack([draw_policy([10], 5, 8, generator("test", seed)) for seed in range(1000)])
    assert (skipped.sum((1, 2)) == 10).all()
    torch.testing.assert_close(skipped.double().mean(0), torch.full((5, 8), 0.25).double(), atol=0.06, rtol=0)
    each = ~torch.stack([draw_policy([2] * 5, 5, 8, generator("test", seed)) for seed in range(1000)])
    assert (each.sum(2) == 2).all()
    torch.testing.assert_close(each.double().mean(0), torch.full((5, 8), 0.25).double(), atol=0.06, rtol=0)


def test_the_whole_budget_trains_it() -> None:
    (phase,) = tiny_method("random-policy", 2).phases(Budget(50, {}))
    assert (phase.steps, phase.final) == (50, True)


def test_artefact() -> None:
    method = tiny_method("random-policy", 2, {"skip": 0.5})
    (artefact,) = method.artefacts()
    assert artefact.name == "policy"
    assert artefact.data["alpha"] == artefact.data["decided"] == method.decided.int().tolist()
    assert artefact.data["undecided"] is False


def test_a_pattern_that_does_not_fit() -> None:
    with pytest.raises(ConfigError, match="policy '101' does not fit: 8 signs"):
        policy(2, like="101,111")
