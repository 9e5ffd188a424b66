"""Resident memory of a process over the steps of one run: it stays flat.

    python tests/flat_memory.py --steps 10000 --readers 4

A run from its start line to its end line, by the same code as `mtlbench run`: hard sharing, one block of width 1/16 on
noise, in batches of two, with log lines, validations and FLOPs counted as ever. Printed are steps and mebibytes. `--leak`
keeps every step's batch, as a loop that leaks would: what the measurement must notice.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

sys.path[0] = str(Path(__file__).parents[1])  # beside this file lie packages of tests, named after what they test

from mtlbench.config import RunConfig  # noqa: E402
from mtlbench.runs import runner  # noqa: E402
from mtlbench.training.loop import Trainer  # noqa: E402

HELPERS = Path(__file__).parent / "helpers"
MEBI = 2**20


def resident() -> float:
    """This process's resident memory in MiB, as Linux says."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / MEBI
    raise OSError("no VmRSS in /proc/self/status (Linux is expected)")


def request(steps: int, readers: int, out: str) -> runner.Request:
    config = RunConfig(
        method="hard-sharing",
        dataset="toy",
        tasks=("depth",),
        data={"images": 12, "size": 16},
        backbone=f"{HELPERS / 'few.py'}:one",
        steps=steps,
        width=0.0625,
        head=4,
        batch_size=2,
    )
    return runner.Request(config, "hard-sharing", f"{HELPERS / 'toy.py'}:Toy", out, readers=readers)


class Watch:
    """Reads resident memory after some of the steps that the trainer takes."""

    def __init__(self, every: int, leak: bool) -> None:
        self.every, self.leak = every, leak
        self.kept: list[Any] = []
        self.step, self.batches = Trainer._step, Trainer._batches

    def _step(self, trainer: Trainer, segment: Any, optimizer: Any, step: int) -> None:
        self.step(trainer, segment, optimizer, step)
        if (step + 1) % self.every == 0:
            print(step + 1, f"{resident():.1f}", flush=True)

    def _batches(self, trainer: Trainer, *asked: Any) -> Any:
        batches = self.batches(trainer, *asked)
        self.kept += [batches] if self.leak else []
        return batches

    def train(self, wanted: runner.Request) -> runner.Outcome:
        """The run, watched."""
        Trainer._step = lambda *given: self._step(*given)  # type: ignore[method-assign]
        Trainer._batches = lambda *given: self._batches(*given)  # type: ignore[method-assign]
        return runner.execute(wanted)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--readers", type=int, default=0)
    parser.add_argument("--every", type=int, default=1000, help="steps from one line to the next")
    parser.add_argument("--leak", action="store_true", help="keep every batch")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as out:
        outcome = Watch(given.every, given.leak).train(request(given.steps, given.readers, out))
    print(outcome.status, outcome.reason)
    return int(outcome.status != "finished")


if __name__ == "__main__":
    sys.exit(main())
