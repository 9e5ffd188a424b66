"""Memory stays flat over the steps of a run, with batches read ahead and without (tests/flat_memory.py is the long form)."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "flat_memory.py"
ALLOWED = 2.0  # MiB: a batch kept a step would be 4 in 400 steps, seen are .2

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read as Linux says it")


def grown(steps: int, every: int, *flags: str) -> float:
    """MiB from the first line that the script prints to the last."""
    command = [sys.executable, str(SCRIPT), f"--steps={steps}", f"--every={every}", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"OMP_NUM_THREADS": "1"})
    *lines, end = done.stdout.splitlines()
    assert end.split() == ["finished"] and len(lines) == steps // every
    seen = [float(line.split()[1]) for line in lines]
    return seen[-1] - seen[0]


@pytest.mark.parametrize("readers", [0, 3])
def test_resident_memory_is_that_of_the_first_steps(readers: int) -> None:
    assert grown(1500, 500, f"--readers={readers}") < ALLOWED


def test_a_loop_that_keeps_its_batches_would_be_noticed() -> None:
    assert grown(600, 200, "--leak") > ALLOWED
