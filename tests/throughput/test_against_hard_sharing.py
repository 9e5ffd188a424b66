"""Training step of each method over hard sharing's, at 2, 3 and 5 tasks: what mixing T networks costs beyond running them.

    python -m pytest tests/throughput/test_against_hard_sharing.py --benchmark-only -s

The methods' steps and hard sharing's run in turns, so a busy machine slows both. ResNet-18 of width 1 at 128x128, forward
and backward of everything deployed. `per_task` is the ratio over T (about 1 is ideal for T networks), `macs` the ratio of
multiply-adds over T, `over_macs` the one over the other. AGAINST_BATCH and AGAINST_ROUNDS change the batch and the pairs.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mtlbench.method import Method
from mtlbench.tasks import Task
from tests.helpers.networks import TASKS, last_phase

BATCH = int(os.environ.get("AGAINST_BATCH", "2"))
ROUNDS = int(os.environ.get("AGAINST_ROUNDS", "5"))
SIDE = 128
METHODS = ("single-task", "cross-stitch", "sluice", "nddr", "mtan", "mmoe", "cgc", "ple", "soft-sharing")


def make_step(method: Method, tasks: tuple[Task, ...]) -> Callable[[], None]:
    """Forward and backward, with the method's own losses."""
    x = torch.randn(BATCH, 3, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    names = tuple(t.name for t in tasks)

    def step() -> None:
        outputs = method(x, names)
        method.loss({n: o.square().mean(dim=(1, 2, 3)) for n, o in outputs.items()}).backward()

    return step


def seconds(work: Callable[[], Any]) -> float:
    """This process's own time, which a busy machine disturbs least."""
    start = time.process_time()
    work()
    return time.process_time() - start


def macs(method: Method, tasks: tuple[Task, ...]) -> float:
    """Multiply-adds of a forward pass."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        method(torch.zeros(1, 3, SIDE, SIDE), tuple(t.name for t in tasks))
    return counter.get_total_flops() / 2


@pytest.mark.benchmark(group="against hard sharing")
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize("name", METHODS)
def test_step_over_hard_sharing(benchmark: Any, name: str, count: int) -> None:
    tasks = TASKS[:count]
    method, shared = (last_phase(n, tasks, SIDE, 1.0).train() for n in (name, "hard-sharing"))
    ours, reference = make_step(method, tasks), make_step(shared, tasks)
    ours()
    reference()
    ratios = sorted(seconds(ours) / seconds(reference) for _ in range(ROUNDS))
    benchmark.pedantic(ours, rounds=1)
    ratio, work = statistics.median(ratios), macs(method, tasks) / macs(shared, tasks)
    info = {
        "over_hard_sharing": ratio,
        "low": ratios[0],
        "high": ratios[-1],
        "per_task": ratio / count,
        "macs": work / count,
        "over_macs": ratio / work,
    }
    benchmark.extra_info |= {key: round(value, 3) for key, value in info.items()}
    print(f"\n{name} T={count}: " + " ".join(f"{key} {value:.3f}" for key, value in info.items()))
