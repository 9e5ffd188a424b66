"""Splits and draws: disjoint, independent of the run's seed, pure functions of (seed, part, stream, draw)."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mtlbench.data.base import DataOptions, draw_batch, draw_positions, drawn_by_class, epoch_steps, spread_blocks
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


COUNTS = st.lists(st.integers(1, 60), min_size=1, max_size=12)


def shuffled(classes, seed):
    return classes[np.random.default_rng(seed).permutation(len(classes))]


@settings(deadline=None, max_examples=200)
@given(COUNTS, st.floats(0.01, 0.99), st.booleans(), st.integers(0, 9))
def test_every_class_gives_its_share(counts, fraction, mixed, seed):
    """Held against exact fractions: the total, a deviation below 1 but for what both sides need, and no class lost."""
    classes = np.repeat(np.arange(len(counts)) * 3 - 1, counts)
    classes = shuffled(classes, seed) if mixed else classes
    taken = drawn_by_class(classes, fraction, "k", seed)
    total = len(classes)
    wanted = min(max(1, round(total * fraction)), total - 1) if total > 1 else 0
    assert len(np.unique(taken)) == len(taken) == wanted
    own = [int((classes[taken] == c * 3 - 1).sum()) for c in range(len(counts))]
    many = sum(n > 1 for n in counts)
    if sum(n - 1 for n in counts) >= wanted:  # as many can be taken without emptying a class
        assert all(k < n for k, n in zip(own, counts, strict=True))
    if many <= wanted:
        assert all(k > 0 for k, n in zip(own, counts, strict=True) if n > 1)
    shares = [Fraction(n * wanted, total) for n in counts]
    if all(1 <= s <= n - 1 for s, n in zip(shares, counts, strict=True)):  # no bound is felt: plain largest remainders
        floors = [math.floor(s) for s in shares]
        rest = [s - f for s, f in zip(shares, floors, strict=True)]
        up = [k - f for k, f in zip(own, floors, strict=True)]
        assert set(up) <= {0, 1}
        assert not any(
            a < b for a, u in zip(rest, up, strict=True) if u for b, v in zip(rest, up, strict=True) if not v
        )


@settings(deadline=None, max_examples=60)
@given(COUNTS, st.integers(0, 9))
def test_sorted_and_shuffled_lists_give_each_class_as_many(counts, seed):
    """Classes of one size are told apart by the key alone, so neither is favoured by the order of the list."""
    ordered = np.repeat(np.arange(len(counts)), counts)
    mixed = shuffled(ordered, seed)
    one, other = (np.bincount(c[drawn_by_class(c, 0.2, "k")], minlength=len(counts)) for c in (ordered, mixed))
    assert one.tolist() == other.tolist()


def test_many_classes_keep_their_share_in_every_part():
    """345 classes of 100, sorted as DomainNet's lists are: blocks left 20 classes out of train and 90 out of the 80 %."""

    class Sorted(Toy):
        def strata(self, stream):
            return np.repeat(np.arange(345), 100)

    toy = Sorted(ToyOptions(images=34500))
    own = {p: np.bincount(toy.strata("all")[toy.indices(p, "all")], minlength=345) for p in PARTS}
    assert {p: set(n.tolist()) for p, n in own.items()} == {
        "val": {10},
        "train": {90},
        "train-a": {72},
        "train-b": {18},
    }


def test_a_class_of_one_stays_in_training_and_one_of_three_lies_in_every_part():
    classes = np.repeat(np.arange(9), [1, 1, 3, 3, 3, 40, 40, 40, 40])

    class Tiny(Toy):
        def strata(self, stream):
            return classes

    toy = Tiny(ToyOptions(images=len(classes)))
    own = {p: np.bincount(classes[toy.indices(p, "all")], minlength=9) for p in PARTS}
    assert all((n[2:] > 0).all() for n in own.values())
    assert own["train-a"][:2].tolist() == [1, 1]


def test_a_draw_follows_its_key_and_is_no_stretch_of_the_list():
    classes = np.zeros(1000, np.int64)
    one, same, other = (drawn_by_class(classes, 0.1, k) for k in ("a", "a", "b"))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    assert runs(one) > 50


def test_neighbours_are_related_unless_a_data_set_knows_its_classes():
    class Known(Toy):
        def strata(self, stream):
            return np.zeros(self.size("train", stream))

    assert Toy(ToyOptions()).neighbours
    assert not Known(ToyOptions()).neighbours


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1, 0, 1, 5])
def test_val_fraction_has_bounds(value):
    with pytest.raises(ValidationError, match=r"greater than 0|less than 1|finite number"):
        DataOptions(val_fraction=value)
