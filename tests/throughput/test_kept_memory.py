"""A training step with the memory kept between steps (`mtlbench.machine.keep_memory`) over one without, and over one of before.

    python -m pytest tests/throughput/test_kept_memory.py --benchmark-only -s

Two processes take their steps in turns, so a busy machine slows both: hard sharing, with the loop's own losses and optimiser.
`nyuv2`: ResNet-18 of width 1/4, segmentation of 40 classes and depth, batch 8, 96x128. `scenes`: the quick preset. The step of
before keeps no memory and takes torch's cross-entropy. KEPT_ROUNDS changes the pairs.
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
import torch.nn.functional as F
from baselines.hard_sharing import HardSharing
from mtlbench import plugins
from mtlbench.backbones import Architecture, Build
from mtlbench.data.scenes import FIVE
from mtlbench.machine import keep_memory
from mtlbench.method import Options
from mtlbench.tasks import Task
from mtlbench.tasks.kinds import base
from mtlbench.tasks.losses import task_loss

torch.set_num_threads(1)
if sys.argv[1] == "kept":
    keep_memory()
if sys.argv[1] == "before":
    base.CrossEntropy.apply = lambda rows, target: F.cross_entropy(rows, target, ignore_index=-1, reduction="none")
two = (Task("segmentation", "segmentation", 40), Task("depth", "depth", 1))
tasks, shape, width, head, batch = {
    "nyuv2": (two, (3, 96, 128), 0.25, 32, 8), "scenes": (FIVE, (3, 64, 64), 0.125, 16, 16)
}[sys.argv[2]]
build = Build(Architecture("resnet18", shape, width, head), plugins.load("backbones", "resnet18"), 0, ("all",))
method = HardSharing(Options(), build, tasks).train().to(memory_format=torch.channels_last)
optimizer = torch.optim.AdamW(method.parameters(), lr=1e-3, fused=True)
x = torch.randn(batch, *shape)
targets = {t.name: t.meaning.example(t, torch.randn(x.shape)) for t in tasks}

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

    def __init__(self, *kind: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", STEPPER, *kind], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self, steps: int) -> float:
        """Processor time of so many steps."""
        assert self.process.stdin is not None and self.process.stdout is not None
        print(steps, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


@pytest.mark.benchmark(group="kept memory")
@pytest.mark.parametrize(("without", "size"), [("plain", "nyuv2"), ("before", "nyuv2"), ("before", "scenes")])
def test_step_with_kept_memory(benchmark: Any, without: str, size: str) -> None:
    if not keep_memory():
        pytest.skip("the C library has no mallopt")
    kept, plain = Stepper("kept", size), Stepper(without, size)
    try:
        for stepper in (kept, plain):
            stepper.seconds(STEPS)  # the first steps are slower
        pairs = [(kept.seconds(STEPS), plain.seconds(STEPS)) for _ in range(ROUNDS)]
        benchmark.pedantic(kept.seconds, (STEPS,), rounds=1)
    finally:
        for stepper in (kept, plain):
            stepper.process.kill()
    ratios = sorted(own / other for own, other in pairs)
    benchmark.extra_info |= {f"over_{without}": round(statistics.median(ratios), 3)}
    print(f"\n{size}: kept over {without}: {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
