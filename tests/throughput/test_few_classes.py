"""A training step with `log_shares` over one with torch's log-softmax, where there are few classes.

    python -m pytest tests/throughput/test_few_classes.py --benchmark-only -s

Hard sharing on the embedded scenes' five tasks (12 classes) as the quick preset builds it: ResNet-18 of width 1/8, heads of
16, 64x64, batch 16, one thread; by turns in one process, in processor time. CLASSES_ROUNDS changes the pairs.
"""

from __future__ import annotations

import os
import statistics
import time
from typing import Any

import pytest
import torch

from baselines.hard_sharing import HardSharing
from mtlbench.backbones import Architecture, Build
from mtlbench.backbones.resnet import resnet18
from mtlbench.data.scenes import FIVE
from mtlbench.machine import keep_memory
from mtlbench.method import Options
from mtlbench.tasks.kinds import base
from mtlbench.tasks.losses import task_loss

ROUNDS = int(os.environ.get("CLASSES_ROUNDS", "15"))
STEPS, BATCH, SIDE = 3, 16, 64


@pytest.mark.benchmark(group="few classes")
def test_step_with_few_classes(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch.get_num_threads() == 1
    keep_memory()
    build = Build(Architecture("resnet18", (3, SIDE, SIDE), 0.125, 16), resnet18, 0)
    method = HardSharing(Options(), build, FIVE).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(method.parameters(), fused=True)
    random = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 3, SIDE, SIDE, generator=random)
    targets = {t.name: t.meaning.example(t, torch.randn(x.shape, generator=random)) for t in FIVE}

    def seconds(vector: int) -> float:
        monkeypatch.setattr(base, "VECTOR", vector)
        begun = time.process_time()
        for _ in range(STEPS):
            outputs = method(x, tuple(targets))
            sum(task_loss(t, outputs[t.name], targets[t.name]).sum() for t in FIVE).backward()  # type: ignore[union-attr]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return (time.process_time() - begun) / STEPS

    ours = base.VECTOR
    seconds(ours)  # the first steps are slower
    pairs = [(seconds(ours), seconds(0)) for _ in range(ROUNDS)]
    benchmark.pedantic(seconds, (ours,), rounds=1)
    ratios = sorted(own / torchs for own, torchs in pairs)
    own, torchs = (1e3 * statistics.median(p[i] for p in pairs) for i in (0, 1))
    benchmark.extra_info |= {"over_torchs": round(statistics.median(ratios), 3)}
    middle = statistics.median(ratios)
    print(f"\n{own:.1f} ms over {torchs:.1f} ms: {middle:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
