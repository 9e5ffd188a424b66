"""What is true of cross-stitch networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tests.helpers.networks import images, tiny_method

NAMES = ["segmentation", "normals", "depth"]


def naive(method: torch.nn.Module, x: Tensor) -> dict[str, Tensor]:
    """A loop over tasks and pairs of tasks, written from the formula."""
    streams = list(method.backbones.values())
    features = [s.stem(x) for s in streams]
    for stage, unit in enumerate(method.units):
        own = [s.stages[stage](f) for s, f in zip(streams, features, strict=True)]
        a = unit.a if unit.a.dim() == 3 else unit.a[..., None]
        features = [sum(a[i, j][None, :, None, None] * own[j] for j in range(3)) for i in range(3)]
    return {t: method.heads[t](f) for t, f in zip(NAMES, features, strict=True)}


@pytest.mark.parametrize("unit", ["scalar", "channel"])
def test_equals_the_naive_loop(unit: str) -> None:
    """In float64: outputs to 1e-6, gradients to 1e-5, running statistics to 1e-6 after a step in training mode."""
    a, b = (tiny_method("cross-stitch", options={"unit": unit}).double() for _ in range(2))
    for method in (a, b):
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for p in method.parameters():
                p.add_(0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    fast, slow = a(images(4), NAMES), naive(b, images(4))
    for task in NAMES:
        torch.testing.assert_close(fast[task], slow[task], rtol=1e-6, atol=1e-6)
    sum(o.square().mean() for o in fast.values()).backward()
    sum(o.square().mean() for o in slow.values()).backward()
    for (path, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-5, atol=1e-5, msg=path)
    for p, q in zip(a.buffers(), b.buffers(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("unit", ["scalar", "channel"])
def test_identity_units_are_single_task_networks(unit: str) -> None:
    method = tiny_method("cross-stitch", options={"unit": unit}).double()
    single = tiny_method("single-task").double()
    with torch.no_grad():
        for u in method.units:
            eye = torch.eye(3)
            u.a.copy_(eye if unit == "scalar" else eye[:, :, None].expand_as(u.a))
    wanted = single(images(), NAMES)
    for task, output in method(images(), NAMES).items():
        torch.testing.assert_close(output, wanted[task], rtol=1e-10, atol=1e-10)


def test_units_start_as_the_paper_says() -> None:
    for unit in tiny_method("cross-stitch", 2).units:
        torch.testing.assert_close(unit.a.data, torch.tensor([[0.9, 0.1], [0.1, 0.9]]))
    channels = [u.a.shape for u in tiny_method("cross-stitch", 2, {"unit": "channel"}).units]
    assert channels == [(2, 2, c) for c in (4, 8, 16, 32)]


def test_paper_preset() -> None:
    from baselines.cross_stitch import CrossStitch

    assert CrossStitch.defaults("paper", "nyuv2", NAMES) == {"optimizer": "sgd", "lr": 1e-3, "units_lr": 1000.0}
    assert CrossStitch.defaults("quick", "nyuv2", NAMES) == {}


def test_logs_and_keeps_its_units() -> None:
    method = tiny_method("cross-stitch", 3)
    assert method.log() == {f"own.{s}": pytest.approx(0.9) for s in (1, 2, 3, 4)}
    (artefact,) = method.artefacts()
    assert artefact.data["tasks"] == NAMES
    assert artefact.data["after_stage"][3][0] == pytest.approx([0.9, 0.05, 0.05])
