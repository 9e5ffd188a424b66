"""Batches read ahead: the same ones in the same order, errors with their words, bounded memory, and no waiting."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from mtlbench.data.base import Batch
from mtlbench.errors import DataError
from mtlbench.training.feed import Feed
from mtlbench.training.ranks import World
from tests.helpers import two_ranks

PLACES = [("train", n) for n in range(400)]


def batch(place, size=1):
    return {"all": Batch(torch.full((size,), float(place[1])), {})}


def to_come(step):
    return iter(PLACES[step:])


@pytest.mark.parametrize("case", ["adashare", "streams"])
def test_training_is_the_same_to_the_bit(case):
    """AdaShare's turns draw from two parts by turns, and its phases begin anew."""
    one, ahead = two_ranks.trained(case, World()), two_ranks.trained(case, World(), readers=3)
    assert ahead["losses"] == one["losses"] and len(one["losses"]) > 2
    assert all(torch.equal(ahead["state"][name], value) for name, value in one["state"].items())


def test_whatever_is_asked_for_comes_foreseen_or_not():
    feed = Feed(batch, to_come, readers=2)
    for step, place in [(0, 0), (1, 1), (2, 2), (100, 100), (101, 101), (7, 7), (8, 8)]:
        assert feed(step, PLACES[place])["all"].inputs.item() == place
    feed.close()


def test_an_error_comes_with_its_words_when_its_batch_is_asked_for():
    def draw(place):
        if place[1] == 3:
            raise DataError("'rooms/0003.png' is damaged")
        return batch(place)

    feed = Feed(draw, to_come, readers=4)
    for n in range(3):
        feed(n, PLACES[n])
    with pytest.raises(DataError, match=r"'rooms/0003.png' is damaged"):
        feed(3, PLACES[3])
    feed.close()


def test_what_waits_is_bounded():
    """However slow the step: at most two batches a reader are drawn and not yet used."""
    drawn, used, most = [], [], []

    def draw(place):
        drawn.append(place)
        most.append(len(drawn) - len(used))
        return batch(place)

    feed = Feed(draw, to_come, readers=3)
    for n in range(50):
        feed(n, PLACES[n])
        used.append(n)
        time.sleep(0.002)
    feed.close()
    assert 2 <= max(most) <= 2 * 3 + 1
    assert drawn[:50] == PLACES[:50] or sorted(drawn[:50]) == PLACES[:50]


def test_a_slow_disk_does_not_make_a_fast_step_wait():
    """A batch takes 40 ms to read and a step 10: in turn the device waits four fifths of the time."""

    def draw(place):
        time.sleep(0.04)
        return batch(place)

    def waited(readers, steps):
        feed, waits, begun = Feed(draw, to_come, readers), 0.0, 0.0
        for n in range(steps + 1):
            asked = time.perf_counter()
            feed(n, PLACES[n])
            if n:  # the first comes when it comes
                waits += time.perf_counter() - asked
            else:
                begun = time.perf_counter()
            time.sleep(0.01)
        feed.close()
        return waits / (time.perf_counter() - begun)

    assert waited(0, 10) > 0.7
    assert waited(8, 300) < 0.05


def test_no_thread_is_left():
    before = threading.active_count()
    feed = Feed(batch, to_come, readers=4)
    feed(0, PLACES[0])
    feed.close()
    for _ in range(100):
        if threading.active_count() <= before:
            break
        time.sleep(0.05)
    assert threading.active_count() <= before
