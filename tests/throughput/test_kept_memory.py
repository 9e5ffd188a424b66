"""A training step with the memory kept between steps (`mtlbench.machine.keep_memory`) over one without.

    python -m pytest tests/throughput/test_kept_memory.py --benchmark-only -s

Two processes take their steps in turns, so a busy machine slows both: hard sharing, ResNet-18 of width 1/4, segmentation
of 40 classes and depth, batch 8, 96x128, with the loop's own losses and optimiser. KEPT_ROUNDS changes the pairs.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from typing import Any

import pytest

from mtlbench.machine import keep_memory

ROUNDS = int(os.environ.get("KEPT_ROUNDS", "9"))
STEPS = 5
STEPPER = """
import sys, time, torch
from baselines.hard_sharing import HardSharing
from mtlbench import plugins
from mtlbench.backbones import Architecture, Build
from mtlbench.machine import keep_memory
from mtlbench.method import Options
from mtlbench.tasks import Task
from mtlbench.tasks.losses import task_loss

torch.set_num_threads(1)
if sys.argv[1] == "kept":
    keep_memory()
tasks = (Task("segmentation", "segmentation", 40), Task("depth", "depth", 1))
build = Build(Architecture("resnet18", (3, 96, 128), 0.25, 32), plugins.load("backbones", "resnet18"), 0, ("all",))
method = HardSharing(Options(), build, tasks).train()
optimizer = torch.optim.AdamW(method.parameters(), lr=1e-3, fused=True)
x = torch.randn(8, 3, 96, 128)
targets = {"segmentation": torch.randint(-1, 40, (8, 96, 128)), "depth": torch.rand(8, 1, 96, 128) + 1}

def step():
    outputs = method(x, tuple(targets))
    sum(task_loss(t, outputs[t.name], targets[t.name]).sum() for t in tasks).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)

for line in sys.stdin:
    begun = time.process_time()
    for _ in range(int(line)):
        step()
    print(time.process_time() - begun, flush=True)
"""


class Stepper:
    """A process that takes training steps when told."""

    def __init__(self, kind: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", STEPPER, kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self, steps: int) -> float:
        """Processor time of so many steps."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(steps, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


@pytest.mark.benchmark(group="kept memory")
def test_step_with_kept_memory(benchmark: Any) -> None:
    if not keep_memory():
        pytest.skip("the C library has no mallopt")
    kept, plain = Stepper("kept"), Stepper("plain")
    try:
        for stepper in (kept, plain):
            stepper.seconds(STEPS)  # the first steps are slower
        pairs = [(kept.seconds(STEPS), plain.seconds(STEPS)) for _ in range(ROUNDS)]
        benchmark.pedantic(kept.seconds, (STEPS,), rounds=1)
    finally:
        for stepper in (kept, plain):
            stepper.process.kill()
    ratios = sorted(own / other for own, other in pairs)
    benchmark.extra_info |= {"over_plain": round(statistics.median(ratios), 3)}
    print(f"\nkept over plain: {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
