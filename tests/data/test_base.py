"""Splits and draws: disjoint, independent of the run's seed, pure functions of (seed, part, stream, draw)."""

import numpy as np
import pytest
import torch

from mtlbench.data.base import DataOptions, draw_batch, draw_positions, epoch_steps, spread_blocks
from tests.helpers.toy import Toy, ToyDomains, ToyOptions

PARTS = ("train", "train-a", "train-b", "val")


def runs(indices):
    """How many contiguous runs sorted indices form."""
    return 1 + int((np.diff(np.sort(indices)) > 1).sum())


@pytest.mark.parametrize("images", [2, 3, 7, 40, 1000])
def test_parts_are_disjoint_and_complete(images):
    toy = Toy(ToyOptions(images=images))
    parts = {p: set(toy.indices(p, "all").tolist()) for p in PARTS}
    assert parts["train"] | parts["val"] == set(range(images))
    assert not parts["train"] & parts["val"]
    assert parts["train-a"] | parts["train-b"] == parts["train"]
    assert not parts["train-a"] & parts["train-b"]
    assert all(parts[p] for p in ("train", "val"))


def test_shares_are_as_declared_and_in_contiguous_blocks():
    toy = Toy(ToyOptions(images=1000, val_fraction=0.1))
    sizes = {p: len(toy.indices(p, "all")) for p in PARTS}
    assert sizes == {"train": 900, "train-a": 720, "train-b": 180, "val": 100}
    assert runs(toy.indices("val", "all")) == 10


def test_spread_blocks_reach_over_all_items():
    taken = spread_blocks(np.arange(100), 0.2, blocks=4)
    assert len(taken) == 20
    assert [int(b.mean()) // 25 for b in np.split(taken, 4)] == [0, 1, 2, 3]


def test_published_lists_lose_the_validation_images():
    class Listed(Toy):
        def published_parts(self, stream):
            return np.arange(0, 30), np.arange(30, 40)

    toy = Listed(ToyOptions(images=40))
    val = set(toy.indices("val", "all").tolist())
    assert set(toy.indices("train-a", "all").tolist()) == set(range(30)) - val
    assert set(toy.indices("train-b", "all").tolist()) == set(range(30, 40)) - val


def test_every_epoch_sees_every_item_once():
    drawn = np.concatenate([draw_positions(3, "train", "all", d, 4, 10) for d in range(10)])
    for epoch in drawn.reshape(4, 10):
        assert sorted(epoch) == list(range(10))
    assert not np.array_equal(drawn[:10], drawn[10:20])


def test_draws_are_pure_and_differ_by_every_argument():
    first = draw_positions(3, "train", "all", 5, 4, 10)
    assert np.array_equal(first, draw_positions(3, "train", "all", 5, 4, 10))
    others = [(4, "train", "all", 5), (3, "train-a", "all", 5), (3, "train", "x", 5), (3, "train", "all", 6)]
    assert all(not np.array_equal(first, draw_positions(*o, 4, 10)) for o in others)


def test_a_batch_is_a_pure_function_of_its_arguments_augmentation_included():
    toy = Toy(ToyOptions())
    one, same, other = (draw_batch(toy, 0, "train", "all", d, 4) for d in (2, 2, 3))
    assert torch.equal(one.inputs, same.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert set(one.targets) == {"segmentation", "normals", "depth"}


def test_batches_do_not_depend_on_which_tasks_are_asked_for():
    few = Toy(ToyOptions(), tasks=("depth",))
    assert torch.equal(
        draw_batch(few, 0, "train", "all", 1, 4).inputs, draw_batch(Toy(ToyOptions()), 0, "train", "all", 1, 4).inputs
    )


def test_streams_have_parts_and_draws_of_their_own():
    domains = ToyDomains(DataOptions())
    assert [len(domains.indices("test", s)) for s in domains.streams] == [10, 10, 10]
    assert epoch_steps(domains, "train", 6) == 6  # the largest stream's 36 images
    assert draw_batch(domains, 0, "train", "sketch", 0, 6).targets["sketch"].shape == (6,)
