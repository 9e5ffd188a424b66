"""The process keeps its memory between the steps of a run."""

from __future__ import annotations

import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from mtlbench.machine import keep_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**24)  # 64 MiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

torch.set_num_threads(1)
plain, kept = faults(), keep_memory()
faults()  # the first blocks are taken from the system
print(kept, plain, faults())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a setting of glibc's")
def test_kept_memory_is_not_cleared_again() -> None:
    """Of 20 tensors of 64 MiB each is a new mapping before, the same pages after."""
    done = subprocess.run([sys.executable, "-c", COUNT], capture_output=True, text=True, check=True)
    kept, plain, after = done.stdout.split()
    if kept == "False":
        pytest.skip("the C library has no mallopt")
    assert int(after) < int(plain) / 5
