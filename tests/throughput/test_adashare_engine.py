"""AdaShare's engine over the plain form (one pass a task, every block masked): backbone forward and backward.

    python -m pytest tests/throughput/test_adashare_engine.py --benchmark-only -s

Engine and plain form run in turns, so a busy machine slows both. `efficiency` is the measured speed-up over the ideal one:
the ideal is the plain form's time over the engine's, both summed from measured times of the stem, of each block's parts and
of the mixing of its two ends. ENGINE_BATCH, ENGINE_ROUNDS and ENGINE_DEVICE change the batch, the pairs and the device.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adashare.network import Decisions, execute
from adashare.random_policy import draw_policy
from mtlbench.backbones import Architecture, Backbone
from mtlbench.backbones.resnet import resnet18
from tests.helpers.adashare_plain import plain

BATCH = int(os.environ.get("ENGINE_BATCH", "2"))
ROUNDS = int(os.environ.get("ENGINE_ROUNDS", "5"))
DEVICE = os.environ.get("ENGINE_DEVICE", "cuda" if torch.cuda.is_available() else "cpu")
BLOCKS, SIDE, SKIP = 8, 128, 0.2
KINDS = ("decided", "decided-inference", "soft-quarter", "soft-half", "soft-all")
OPEN = {"soft-quarter": 2, "soft-half": 4, "soft-all": 8}


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    torch.manual_seed(0)
    made = resnet18(Architecture(width=1.0, shape=(3, SIDE, SIDE)), nn.BatchNorm2d)
    return made.to(DEVICE, memory_format=torch.channels_last)


def make_decisions(kind: str, tasks: int) -> Decisions:
    """A random policy that skips a fifth of the blocks, or one that is soft in the last blocks."""
    random = torch.Generator().manual_seed(tasks)
    if kind.startswith("decided"):
        policy = draw_policy([round(SKIP * tasks * BLOCKS)], tasks, BLOCKS, random).tolist()
        return {f"t{k}": row for k, row in enumerate(policy)}
    v = torch.rand(tasks, BLOCKS, generator=random).to(DEVICE).requires_grad_()
    closed = BLOCKS - OPEN[kind]
    return {f"t{k}": [True] * closed + list(v[k].unbind()[closed:]) for k in range(tasks)}


def seconds(work: Callable[[], Any]) -> float:
    """Wall time on an accelerator; on the CPU this process's own time, which a busy machine disturbs least."""
    if DEVICE == "cpu":
        assert torch.get_num_threads() == 1
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def training(forward: Callable[[], list[Tensor]]) -> Callable[[], None]:
    """Forward and backward, with a gradient that costs nothing to make."""

    def step() -> None:
        outputs = forward()
        torch.autograd.backward(outputs, [torch.ones_like(o) for o in outputs])

    return step


class Parts:
    """Median seconds of each part of a backbone, alone: forward, and backward too where `backward`."""

    def __init__(self, backbone: Backbone, x: Tensor, backward: bool) -> None:
        self.backward = backward
        self.stem = self._time(lambda a: backbone.stem(a), x, leaf=False)
        self.shortcut: list[float] = []
        self.block: list[float] = []
        self.mix: list[float] = []
        v = torch.tensor(0.3, device=DEVICE, requires_grad=True)
        with torch.no_grad():
            x = backbone.stem(x)
        for block in backbone.blocks:
            self.shortcut.append(self._time(block.shortcut, x) if block.projection is not None else 0.0)
            self.block.append(self._time(block, x))
            with torch.no_grad():
                x = block(x)
            self.mix.append(self._time(lambda a: v * a + (1 - v) * a, x))

    def _time(self, work: Callable[[Tensor], Tensor], x: Tensor, leaf: bool = True) -> float:
        x = x.detach().clone().requires_grad_(leaf and self.backward)
        with torch.set_grad_enabled(self.backward):
            run = training(lambda: [work(x)]) if self.backward else lambda: work(x)
            run()
            return statistics.median(seconds(run) for _ in range(max(5, ROUNDS)))

    def plain(self, tasks: int) -> float:
        """Ideal seconds of the plain form."""
        return tasks * (self.stem + sum(self.block) + sum(self.mix))

    def engine(self, decisions: Decisions) -> float:
        """Ideal seconds of the engine: every distinct computation once."""
        total = self.stem
        paths: set[tuple[Any, ...]] = {()}
        for index in range(BLOCKS):
            choices = {task: self._name(task, row[index]) for task, row in decisions.items()}
            executes = {self._before(decisions, t, index) for t, c in choices.items() if c is not False}
            total += len(executes) * self.block[index] + len(paths - executes) * self.shortcut[index]
            total += sum(isinstance(c, str) for c in choices.values()) * self.mix[index]
            paths = {self._before(decisions, t, index + 1) for t in choices}
        return total

    @staticmethod
    def _name(task: str, choice: Any) -> Any:
        return task if isinstance(choice, Tensor) else choice

    def _before(self, decisions: Decisions, task: str, index: int) -> tuple[Any, ...]:
        return tuple(self._name(task, choice) for choice in decisions[task][:index])


@pytest.mark.parametrize("tasks", [2, 3, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_engine_over_plain_form(benchmark: Any, backbone: Backbone, kind: str, tasks: int) -> None:
    backward = kind != "decided-inference"
    backbone.train(backward)
    decisions = make_decisions(kind, tasks)
    masks = {t: [c if isinstance(c, Tensor) else float(c) for c in row] for t, row in decisions.items()}
    x = torch.randn(BATCH, 3, SIDE, SIDE, device=DEVICE).contiguous(memory_format=torch.channels_last)

    def ours() -> list[Tensor]:
        return list(execute(backbone.stem, backbone.blocks, x, decisions).values())

    def theirs() -> list[Tensor]:
        return list(plain(backbone.stem, backbone.blocks, x, masks, track=False).values())

    with torch.set_grad_enabled(backward):
        engine, reference = (training(ours), training(theirs)) if backward else (ours, theirs)
        engine()
        reference()
        pairs = [(seconds(engine), seconds(reference)) for _ in range(ROUNDS)]
        benchmark.pedantic(engine, rounds=1)
    parts = Parts(backbone, x, backward)
    gains = sorted(p / e for e, p in pairs)
    gain, ideal = statistics.median(gains), parts.plain(tasks) / parts.engine(decisions)
    info = {
        "engine_ms": 1e3 * statistics.median(e for e, _ in pairs),
        "plain_ms": 1e3 * statistics.median(p for _, p in pairs),
        "speedup": gain,
        "speedup_low": gains[0],
        "speedup_high": gains[-1],
        "ideal": ideal,
        "efficiency": gain / ideal,
    }
    benchmark.extra_info |= {name: round(value, 3) for name, value in info.items()}
    text = " ".join(f"{name} {value:.2f}" for name, value in info.items())
    print(f"\n{kind} T={tasks} {DEVICE} batch {BATCH}: {text}")
    with torch.no_grad():
        for a, b in zip(ours(), theirs(), strict=True):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)  # both did the same work


@pytest.mark.parametrize("batch", [2, 16])
@pytest.mark.parametrize("tasks", [2, 3])
def test_stacking_tasks_on_the_batch_axis(benchmark: Any, tasks: int, batch: int) -> None:
    """The most that one stacked pass could win over a pass a task: convolutions alone, batch norms left out."""
    backbone = resnet18(Architecture(width=0.25, shape=(3, SIDE, SIDE)), nn.Identity)
    backbone.to(DEVICE, memory_format=torch.channels_last)
    x = torch.randn(batch, 3, SIDE, SIDE, device=DEVICE).contiguous(memory_format=torch.channels_last)
    ratios = []
    with torch.no_grad():
        x = backbone.stem(x)
    for block in backbone.blocks:
        apart = [x.clone().requires_grad_() for _ in range(tasks)]
        stacked = torch.cat([a.detach() for a in apart]).requires_grad_()
        one = training(lambda block=block, apart=apart: [block.residual(a) for a in apart])
        all_ = training(lambda block=block, stacked=stacked: [block.residual(stacked)])
        one()
        all_()
        ratios.append(statistics.median(seconds(one) / seconds(all_) for _ in range(max(5, ROUNDS))))
        with torch.no_grad():
            x = block(x)
    benchmark.pedantic(all_, rounds=1)
    said = " ".join(f"{r:.2f}" for r in ratios)
    print(f"\nstacking T={tasks} batch {batch} {DEVICE}: a pass a task over one stacked pass, by block: {said}")
