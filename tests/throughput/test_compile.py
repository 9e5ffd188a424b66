"""A training step with `torch.compile` over one without: of the parts that all methods are made of, and of a whole network.

    python -m pytest tests/throughput/test_compile.py --benchmark-only -s

Hard sharing, ResNet-18 of width 1/4, heads of 128, segmentation of 40 classes and depth, batch 8 at 96x128, one thread, in
processor time by turns. COMPILE_ROUNDS changes the turns. The compiler's own time is printed: a run pays it before its first
step, once for every way that its network is executed in.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from baselines.hard_sharing import HardSharing
from mtlbench.backbones import Architecture, Build
from mtlbench.backbones.resnet import resnet18
from mtlbench.machine import keep_memory
from mtlbench.method import Options
from mtlbench.tasks import Task
from mtlbench.tasks.losses import task_loss

ROUNDS, STEPS = int(os.environ.get("COMPILE_ROUNDS", "8")), 3
TASKS = (Task("segmentation", "segmentation", 40), Task("depth", "depth", 1))
Loss = Callable[[], Tensor]


class Steps:
    """A network, and its training step as it is computed in several ways."""

    def __init__(self) -> None:
        build = Build(Architecture("resnet18", (3, 96, 128), 0.25, 128), resnet18, 0)
        self.method = HardSharing(Options(), build, TASKS).train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.AdamW(self.method.parameters(), fused=True)
        random = torch.Generator().manual_seed(0)
        self.x = torch.randn(8, 3, 96, 128, generator=random)
        self.targets = {t.name: t.meaning.example(t, torch.randn(self.x.shape, generator=random)) for t in TASKS}
        backbone = self.method.backbone
        self.parts: list[nn.Module] = [backbone.stem, *backbone.blocks, *self.method.heads.values()]
        for part in self.parts:
            part.compile(dynamic=False)
        self._compiled = [part._compiled_call_impl for part in self.parts]
        network = torch.compile(self.method, dynamic=False)
        self.ways: Mapping[str, tuple[bool, Loss]] = {
            "as it is": (False, self.loss),
            "stem, blocks and heads": (True, self.loss),
            "network": (False, lambda: self.loss(network)),
            "network and losses": (False, torch.compile(self.loss, dynamic=False)),
        }

    def loss(self, network: Any = None) -> Tensor:
        outputs = (self.method if network is None else network)(self.x, tuple(self.targets))
        return sum(task_loss(t, outputs[t.name], self.targets[t.name]).sum() for t in TASKS)  # type: ignore[return-value]

    def seconds(self, way: str, steps: int = STEPS) -> float:
        """Processor time of a step."""
        by_parts, loss = self.ways[way]
        for part, compiled in zip(self.parts, self._compiled, strict=True):
            part._compiled_call_impl = compiled if by_parts else None
        begun = time.process_time()
        for _ in range(steps):
            loss().backward()
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        return (time.process_time() - begun) / steps


@pytest.mark.benchmark(group="compile")
def test_compiled_step(benchmark: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert torch.get_num_threads() == 1
    from torch._inductor import cpp_builder, exc

    try:
        cpp_builder.get_cpp_compiler()
    except (exc.InvalidCxxCompiler, RuntimeError):
        pytest.skip("no C++ compiler")
    monkeypatch.setattr(torch._dynamo.config, "recompile_limit", 64)
    keep_memory()
    steps = Steps()
    for way in steps.ways:
        begun = time.perf_counter()
        steps.seconds(way, 2)
        print(f"\n{way}: {time.perf_counter() - begun:.0f} s before the third step", end="")
    turns = [{way: steps.seconds(way) for way in steps.ways} for _ in range(ROUNDS)]
    benchmark.pedantic(steps.seconds, ("network",), rounds=1)
    for way in steps.ways:
        ratios = sorted(turn[way] / turn["as it is"] for turn in turns)
        middle = statistics.median(ratios)
        benchmark.extra_info[way] = round(middle, 3)
        own = 1e3 * statistics.median(turn[way] for turn in turns)
        print(f"\n{way}: {own:.0f} ms, {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})", end="")
