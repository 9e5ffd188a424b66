"""A training step under each aggregator of gradients over a plain one, in turns in one process.

`python -m pytest tests/throughput/test_weightings.py --benchmark-only -s` prints, by method, the median of paired ratios of
processor time and their range: forward, losses, backward and the optimiser on the five tasks of the quick preset's size
(ResNet-18 of width 1/8, 64x64, batch 16), the method in its last phase. WEIGHTINGS_ROUNDS changes the number of pairs.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import pytest
import torch

from mtlbench.errors import ConfigError
from mtlbench.method import Method
from mtlbench.tasks.losses import task_loss
from mtlbench.training.weighting import make_weighting
from tests.helpers.networks import TASKS, last_phase

ROUNDS = int(os.environ.get("WEIGHTINGS_ROUNDS", "5"))
BATCH, SIDE = 16, 64
AGGREGATORS = ("upgrad", "pcgrad", "mgda", "cagrad", "imtl-g", "nash-mtl", "aligned-mtl")


def step(name: str, weighting: str) -> Callable[[], None]:
    """One training step of a method under a weighting, as the loop takes it."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 3, SIDE, SIDE, generator=random).contiguous(memory_format=torch.channels_last)
    maps = {t.name: torch.rand(BATCH, 1, SIDE, SIDE, generator=random) for t in TASKS[2:]}
    normals = torch.nn.functional.normalize(torch.randn(BATCH, 3, SIDE, SIDE, generator=random), dim=1)
    classes = torch.randint(0, TASKS[0].channels, (BATCH, SIDE, SIDE), generator=random)
    targets = {"segmentation": classes, "normals": normals, **maps}
    method = last_phase(name, TASKS, SIDE, 0.125).train()
    optimizer = torch.optim.AdamW(method.parameters(), fused=True)
    weigh = make_weighting(weighting, TASKS, {})
    moving = [p for p in method.parameters() if p.requires_grad]

    def one() -> None:
        outputs = method(x, tuple(t.name for t in TASKS))
        weighted = weigh.weighted({t.name: task_loss(t, outputs[t.name], targets[t.name]) for t in TASKS})
        weigh.backward(method.loss(weighted), weighted, moving, type(method).loss is not Method.loss)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return one


def seconds(run: Callable[[], None]) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


@pytest.mark.benchmark(group="a step under an aggregator over a plain one")
@pytest.mark.parametrize("name", ["hard-sharing", "cross-stitch", "adashare"])
def test_aggregators_over_a_plain_step(benchmark, name):
    plain = step(name, "equal")
    runs = {}
    for weighting in AGGREGATORS:
        try:
            runs[weighting] = step(name, weighting)
        except ConfigError:
            continue  # its solver is not installed
    if not runs:
        pytest.skip("torchjd is not installed")
    for run in (plain, *runs.values()):
        run()
    ratios: dict[str, list[float]] = {weighting: [] for weighting in runs}
    for _ in range(ROUNDS):
        for weighting, run in runs.items():
            ratios[weighting].append(seconds(run) / seconds(plain))
    benchmark.pedantic(plain, rounds=1)
    for weighting, found in ratios.items():
        benchmark.extra_info[weighting] = statistics.median(found)
        print(f"\n{name} {weighting}: {statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})", end="")
