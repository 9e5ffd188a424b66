"""Throughput of every registered method: a training step and an inference pass. `make throughput`

ResNet-18 of width 1/8, three tasks, 64x64, batch 16, one thread: the quick preset's size on random images.
"""

from __future__ import annotations

import pytest
import torch

from mtlbench import plugins
from mtlbench.tasks.losses import task_loss
from tests.helpers.networks import TASKS, last_phase

BATCH, SIDE = 16, 64
CHOSEN = TASKS[:3]  # segmentation, normals, depth


@pytest.fixture
def batch():
    """Images and their labels."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, 3, SIDE, SIDE, generator=random).contiguous(memory_format=torch.channels_last)
    normals = torch.nn.functional.normalize(torch.randn(BATCH, 3, SIDE, SIDE, generator=random), dim=1)
    return x, {
        "segmentation": torch.randint(0, CHOSEN[0].channels, (BATCH, SIDE, SIDE), generator=random),
        "normals": normals,
        "depth": torch.rand(BATCH, 1, SIDE, SIDE, generator=random),
    }


def images_a_second(benchmark) -> None:
    """Say what people ask for beside the seconds."""
    if benchmark.stats is not None:
        benchmark.extra_info["images_per_second"] = round(BATCH / benchmark.stats.stats.median, 1)


@pytest.mark.benchmark(group="training step")
@pytest.mark.parametrize("name", plugins.names("methods"))
def test_training_step(benchmark, name, batch):
    method, (x, targets) = last_phase(name, CHOSEN, SIDE, 0.125).train(), batch
    optimizer = torch.optim.AdamW(method.parameters(), fused=True)

    def step() -> None:
        outputs = method(x, tuple(t.name for t in CHOSEN))
        loss = method.loss({t.name: task_loss(t, outputs[t.name], targets[t.name]) for t in CHOSEN})
        loss.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    benchmark.pedantic(step, rounds=10, warmup_rounds=2)
    images_a_second(benchmark)


@pytest.mark.benchmark(group="inference pass")
@pytest.mark.parametrize("name", plugins.names("methods"))
def test_inference_pass(benchmark, name, batch):
    network = last_phase(name, CHOSEN, SIDE, 0.125).eval().deployed().eval()
    names = tuple(t.name for t in CHOSEN)

    def infer() -> None:
        with torch.inference_mode():
            network(batch[0], names)

    benchmark.pedantic(infer, rounds=10, warmup_rounds=2)
    images_a_second(benchmark)
