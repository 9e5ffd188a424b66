"""What is true of NDDR-CNN."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.helpers.networks import images, tiny_method

NAMES = ["segmentation", "normals", "depth"]


def bilinear(x: Tensor, size: torch.Size) -> Tensor:
    """Bilinear interpolation as two matrices, one a side: row o reads around (o + 1/2) in / out - 1/2."""

    def matrix(inputs: int, outputs: int) -> Tensor:
        table = torch.zeros(outputs, inputs, dtype=x.dtype)
        for o in range(outputs):
            place = max((o + 0.5) * inputs / outputs - 0.5, 0.0)
            low = min(int(place), inputs - 1)
            table[o, low] += 1 - (place - low)
            table[o, min(low + 1, inputs - 1)] += place - low
        return table

    rows, columns = (matrix(i, o) for i, o in zip(x.shape[2:], size, strict=True))
    return torch.einsum("oh,bchw,pw->bcop", rows, x, columns)


def naive(method: torch.nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Task by task and source by source: `ReLU(BN_i(sum_j W_ij F_j))`, W_ij a (C, C) matrix."""
    streams = list(method.backbones.values())
    own = [s.stem(x) for s in streams]
    trail = []
    for site, fusions in enumerate(method.units["sites"]):
        if site > 0:
            own = [s.stages[site - 1](f) for s, f in zip(streams, own, strict=True)]
        blocks = [fusion.conv.weight[:, :, 0, 0].chunk(3, dim=1) for fusion in fusions]
        mixtures = [sum(torch.einsum("oc,bchw->bohw", w[j], own[j]) for j in range(3)) for w in blocks]
        own = [F.relu(fusion.norm(m)) for fusion, m in zip(fusions, mixtures, strict=True)]
        trail.append(own)
    if "shortcut" in method.units:
        size = own[0].shape[2:]
        for i, fusion in enumerate(method.units["shortcut"]):
            parts = fusion.conv.weight[:, :, 0, 0].split(method.channels, dim=1)
            brought = [bilinear(site[i], size) for site in trail]
            total = sum(torch.einsum("oc,bchw->bohw", w, f) for w, f in zip(parts, brought, strict=True))
            own[i] = F.relu(fusion.norm(total))
    return {t: method.heads[t](f) for t, f in zip(NAMES, own, strict=True)}


@pytest.mark.parametrize("options", [{}, {"init": "xavier"}, {"shortcut": True}])
def test_equals_the_naive_loop(options: dict[str, object]) -> None:
    """In float64: outputs to 1e-6, gradients to 1e-5, running statistics to 1e-6 after a step in training mode."""
    a, b = (tiny_method("nddr", options=options).double() for _ in range(2))
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


def test_identity_sites_are_single_task_networks() -> None:
    """W the identity, batch norm in eval with mean 0 and variance 1 - eps; features are not negative after a ReLU."""
    method, single = tiny_method("nddr").double().eval(), tiny_method("single-task").double().eval()
    with torch.no_grad():
        for fusions in method.units["sites"]:
            for row, fusion in enumerate(fusions):
                fusion.start(F.one_hot(torch.tensor(row), 3).double())
                fusion.norm.running_mean.zero_()
                fusion.norm.running_var.fill_(1 - fusion.norm.eps)
    wanted = single(images(), NAMES)
    for task, output in method(images(), NAMES).items():
        torch.testing.assert_close(output, wanted[task], rtol=1e-10, atol=1e-10)


def test_five_sites_start_diagonal_with_slow_batch_norms() -> None:
    method = tiny_method("nddr", 3)
    sites = method.units["sites"]
    assert len(sites) == 5
    for site, channels in zip(sites, (4, 4, 8, 16, 32), strict=True):
        for row, fusion in enumerate(site):
            assert fusion.conv.weight.shape == (channels, 3 * channels, 1, 1)
            assert fusion.conv.bias is None
            assert fusion.norm.momentum == 0.05
            wanted = torch.cat([(0.9 if j == row else 0.05) * torch.eye(channels) for j in range(3)], dim=1)
            torch.testing.assert_close(fusion.conv.weight[:, :, 0, 0].data, wanted)


def test_every_domains_batch_norm_is_slow() -> None:
    method = tiny_method("nddr", 2, {"momentum": 0.2}, streams=("a", "b"))
    assert [n.momentum for n in method.units["sites"][4][1].norm.norms] == [0.2, 0.2]


def test_xavier_starts_at_the_variance_of_its_name() -> None:
    kernel = tiny_method("nddr", 3, {"init": "xavier"}, width=0.5).units["sites"][4][0].conv.weight
    fan_in, fan_out = 3 * 256, 256
    assert kernel.std().item() == pytest.approx((2 / (fan_in + fan_out)) ** 0.5, rel=0.02)


def test_paper_preset() -> None:
    from baselines.nddr import NDDR

    assert NDDR.defaults("paper", "nyuv2", NAMES) == {"optimizer": "sgd", "lr": 1e-3, "units_lr": 100.0}
    assert NDDR.defaults("standard", "nyuv2", NAMES) == {}


def test_logs_each_sites_own_share() -> None:
    own = 0.81 / (0.81 + 2 * 0.0025)
    assert tiny_method("nddr", 3).log() == {f"own.{s}": pytest.approx(own) for s in range(5)}
