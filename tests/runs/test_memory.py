"""A GPU out of memory is a failed run that says how much was needed and which batch would fit."""

from __future__ import annotations

import re

import pytest
import torch

from mtlbench.runs import environment, memory, runner
from mtlbench.study import study
from mtlbench.study.settings import gather
from tests.study.test_cluster import SMALL

SAID = (
    "CUDA out of memory. Tried to allocate 8.00 GiB. GPU 0 has a total capacity of 40.00 GiB of which 2.00 GiB is free. "
    "Including non-PyTorch memory, this process has 37.00 GiB memory in use. Of the allocated memory 36.00 GiB is allocated "
    "by PyTorch, and 512.00 MiB is reserved by PyTorch but unallocated."
)


def test_what_was_needed_and_what_fits_follow_from_torchs_message():
    told = memory.out_of_memory(SAID, 32, 4 * 2**30)
    # 44 GiB at least, of which 4 do not depend on the batch: 1.25 an image; 36 - 4 = 32 are left for images
    assert "batches of 32 need more than 44.0 GiB, and 40.0 GiB are there" in told
    assert told.endswith("at most about 25 images fit (--batch-size 25)")
    assert "a smaller --width" in memory.out_of_memory(SAID, 32, 36 * 2**30)
    assert memory.out_of_memory("CUDA out of memory.", 32, 0) == ""


def test_the_most_that_a_gpu_held_is_of_the_run_and_of_its_device(monkeypatch):
    calls = []
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: calls.append(device))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: {"cuda:1": 3 * 2**30}[device])
    memory.start_watching("cuda:1")
    assert (memory.most("cuda:1"), calls) == (3 * 2**30, ["cuda:1"])
    memory.start_watching("cpu")
    assert (memory.most("cpu"), calls) == (None, ["cuda:1"])


def test_a_gpus_precision_and_layout_are_in_the_record(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"card of {device}")
    before = torch.backends.cuda.matmul.allow_tf32
    try:
        for allowed in (True, False):
            torch.backends.cuda.matmul.allow_tf32 = allowed
            described = environment.describe("cuda:1", 2)
            assert described["tf32"] == {"products": allowed, "convolutions": torch.backends.cudnn.allow_tf32}
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    assert described["device"] == "card of cuda:1"
    assert described["memory_format"] == "channels_last"
    assert environment.describe("cpu", 2).keys().isdisjoint({"tf32", "memory_format"})


def test_a_run_that_meets_it_says_so(tmp_path, monkeypatch):
    def step(*_):
        raise torch.OutOfMemoryError(SAID)

    monkeypatch.setattr("mtlbench.training.loop.Trainer._step", step)
    (request,) = study.runs(study.resolve(gather({**SMALL, "methods": "hard-sharing", "out": str(tmp_path)})))
    outcome = runner.execute(request)
    assert outcome.status == "failed"
    assert re.search(r"batches of 2 need more than 44.0 GiB.*; the network alone takes 0.0 GiB", outcome.reason)


@pytest.mark.parametrize("error", [ValueError("x"), MemoryError()])
def test_any_other_error_is_said_as_it_is(error):
    assert memory.reason(error, 2, None).startswith(type(error).__name__)
