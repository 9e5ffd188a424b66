"""One run in two processes equals one process with the whole batch: losses, gradients, logits, statistics."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mtlbench.errors import ConfigError
from mtlbench.training import ranks
from mtlbench.training.ranks import World, bounds
from mtlbench.training.synchronised import Synchronised2d, synchronise
from tests.helpers import two_ranks

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What came of all cases in two processes."""
    file = tmp_path_factory.mktemp("ranks") / "found.pt"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    given = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.helpers.two_ranks", str(file), *two_ranks.CASES]
    both = [subprocess.Popen(command, cwd=ROOT, env={**os.environ, **given, "RANK": str(n)}) for n in range(2)]
    assert [process.wait(500) for process in both] == [0, 0]
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("case", two_ranks.CASES)
def test_two_processes_equal_one_with_the_whole_batch(two, case):
    one, both = two_ranks.trained(case, World()), two[case]
    if case == "adashare":
        assert len(one["phases"]) == 3 and one["phases"] == both["phases"]
    if case != "aggregated":  # every rank aggregates
        assert one["flops"] == both["flops"]
    assert len(one["gradients"]) == len(both["gradients"]) > 2 and len(one["losses"]) == len(both["losses"]) > 2
    for mine, theirs in zip(one["losses"], both["losses"], strict=True):
        assert theirs == pytest.approx(mine, rel=1e-9, abs=1e-9)
    for mine, theirs in zip(one["gradients"], both["gradients"], strict=True):
        assert mine.keys() == theirs.keys()
        for name, gradient in mine.items():
            torch.testing.assert_close(theirs[name], gradient, rtol=1e-9, atol=1e-9)
    moved = 0
    for name, value in one["state"].items():  # parameters, logits, running statistics, a weighting's own
        torch.testing.assert_close(both["state"][name], value, rtol=1e-9, atol=1e-9)
        moved += value.is_floating_point()
    assert moved > 20


def test_slices_are_the_whole_batch_and_alike():
    for count in range(1, 40):
        for size in range(1, count + 1):
            cuts = [bounds(count, rank, size) for rank in range(size)]
            assert [c for low, high in cuts for c in range(low, high)] == list(range(count))
            sizes = [high - low for low, high in cuts]
            assert max(sizes) - min(sizes) <= 1 and min(sizes) >= 1


def test_a_batch_norm_of_another_kind_is_refused():
    class Own(nn.BatchNorm2d):
        pass

    with pytest.raises(ConfigError, match=r"'1' of kind Own cannot be synchronised \(allowed: run.local_norm=true\)"):
        synchronise(nn.Sequential(nn.BatchNorm2d(2), Own(2)), World(0, 2))
    alone = nn.Sequential(nn.BatchNorm2d(2))
    synchronise(alone, World())
    assert type(alone[0]) is nn.BatchNorm2d
    synchronise(alone, World(0, 2))
    assert type(alone[0]) is Synchronised2d


def test_a_rank_has_the_device_of_its_number(monkeypatch):
    assert ranks.device("cuda") == "cuda" and ranks.size() == 1 and ranks.rank() == 0
    for name, value in {"WORLD_SIZE": "4", "RANK": "6", "LOCAL_RANK": "2"}.items():
        monkeypatch.setenv(name, value)
    assert (ranks.device("cuda"), ranks.device("cpu"), ranks.rank()) == ("cuda:2", "cpu", 6)
