"""Random policies skip as many blocks as asked, anywhere, by the seed alone."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from adashare.random_policy import RandomPolicy, RandomPolicyOptions, draw_policy
from adashare.shuffled_policy import ShuffledPolicy, derangement
from mtlbench.errors import ConfigError
from mtlbench.method import Budget, Method
from mtlbench.plugins import load
from mtlbench.seeding import generator
from tests.helpers.networks import images, tiny_method


def policy(tasks: int = 5, seed: int = 0, **options: object) -> torch.Tensor:
    return tiny_method("random-policy", tasks, options, seed=seed).decided


@pytest.mark.parametrize(("skip", "count"), [(0.0, 0), (0.15, 6), (0.5, 20), (1.0, 40)])
def test_overall_share(skip: float, count: int) -> None:
    assert int((~policy(skip=skip)).sum()) == count


def test_share_for_each_task() -> None:
    assert (~policy(skip=0.25, per="task")).sum(1).tolist() == [2] * 5


def test_counts_of_a_learned_policy() -> None:
    like = "11111111,10111110,00111111"
    assert (~policy(3, like=like)).sum(1).tolist() == (~policy(3, like=like, per="task")).sum(1).tolist() == [0, 2, 2]
    assert (~policy(3, like=like, per="overall")).sum() == 4


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


LEARNED = {"tasks": ["segmentation", "normals", "depth"], "decided": [[1] * 8, [0] * 8, [1, 0, 1, 1, 1, 1, 1, 0]]}


def after(name: str, decided: list[list[int]], **options: object) -> Method:
    """A control as it is built once AdaShare's run is done."""
    kind = load("methods", name)
    whole = kind.completed(kind.Options(**options), {"policy": {"decided": decided}})
    assert kind.follows(whole) is None
    return tiny_method(name, 3, whole.model_dump(mode="json"), seed=5)


def test_it_follows_the_learned_policy_unless_it_is_told_a_share() -> None:
    follows = RandomPolicy.follows
    assert follows(RandomPolicyOptions()) == follows(RandomPolicyOptions(per="overall")) == "adashare"
    assert follows(RandomPolicyOptions(skip=0.2)) is follows(RandomPolicyOptions(like="11,10")) is None
    assert ShuffledPolicy.follows(ShuffledPolicy.Options()) == "adashare"


def test_each_task_skips_as_many_blocks_as_in_the_policy_it_follows() -> None:
    """A task that skips every block is followed too, and keeps its output: its head reads the shortcuts."""
    method = after("random-policy", LEARNED["decided"])
    assert (~method.decided).sum(1).tolist() == [0, 8, 2]
    assert set(method(images(dtype=torch.float32), LEARNED["tasks"])) == set(LEARNED["tasks"])
    assert int((~after("random-policy", LEARNED["decided"], per="overall").decided).sum()) == 10


def test_shuffled_rows_all_belong_to_another_task() -> None:
    rows = after("shuffled-policy", LEARNED["decided"]).decided.int().tolist()
    assert sorted(rows) == sorted(LEARNED["decided"])
    assert all(row != own for row, own in zip(rows, LEARNED["decided"], strict=True))


@pytest.mark.parametrize(("count", "kinds"), [(2, 1), (3, 2), (4, 9)])
def test_derangements_are_all_drawn_equally_often(count: int, kinds: int) -> None:
    draws = [tuple(derangement(count, generator("test", seed)).tolist()) for seed in range(900)]
    seen = Counter(draws)
    assert len(seen) == kinds
    assert all(place != own for draw in seen for own, place in enumerate(draw))
    assert all(n == pytest.approx(900 / kinds, rel=0.4) for n in seen.values())


def test_a_run_that_kept_no_policy_cannot_be_followed() -> None:
    with pytest.raises(ConfigError, match="random-policy follows a learned policy, and the run it follows kept none"):
        RandomPolicy.completed(RandomPolicyOptions(), {})
