"""A GPU out of memory is a failed run that says how much was needed and which batch would fit."""

from __future__ import annotations

import re

import pytest
import torch

from mtlbench.runs import memory, runner
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
