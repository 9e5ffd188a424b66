"""What is true of Sluice networks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from baselines.sluice import alpha_table, beta_table, last_convolution, overlap
from mtlbench.method import Where
from tests.helpers.networks import images, tiny_method

NAMES = ["segmentation", "normals", "depth"]


def naive(method: torch.nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Subspace by subspace, task by task, written from the formulas."""
    streams = list(method.backbones.values())
    features = [s.stem(x) for s in streams]
    stages: list[list[Tensor]] = []
    for stage, alpha in enumerate(method.units.alpha):
        own = [s.stages[stage](f) for s, f in zip(streams, features, strict=True)]
        half = own[0].shape[1] // 2
        g = [f[:, s * half : (s + 1) * half] for f in own for s in (0, 1)]
        mixtures = [sum(alpha[i, j] * g[j] for j in range(6)) for i in range(6)]
        features = [torch.cat((mixtures[2 * t], mixtures[2 * t + 1]), dim=1) for t in range(3)]
        stages.append(features)
    out = {}
    for i, task in enumerate(NAMES):
        total = method.units.beta[i, 3] * stages[3][i]
        for stage in range(3):
            pooled = F.adaptive_avg_pool2d(stages[stage][i], total.shape[2:])
            projected = method.projections[task][stage](pooled)
            total = total + method.units.beta[i, stage] * projected
        out[task] = method.heads[task](total)
    return out


def one_hot_beta(method: torch.nn.Module) -> None:
    method.units.beta.copy_(torch.eye(4)[3].expand_as(method.units.beta))


def perturb(method: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for p in method.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=generator, dtype=p.dtype))


def test_equals_the_naive_loop() -> None:
    """In float64: outputs to 1e-6, gradients to 1e-5, running statistics to 1e-6 after a step in training mode."""
    a, b = (tiny_method("sluice").double() for _ in range(2))
    perturb(a)
    perturb(b)
    fast, slow = a(images(4), NAMES), naive(b, images(4))
    for task in NAMES:
        torch.testing.assert_close(fast[task], slow[task], rtol=1e-6, atol=1e-6)
    sum(o.square().mean() for o in fast.values()).backward()
    sum(o.square().mean() for o in slow.values()).backward()
    for (path, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-5, atol=1e-5, msg=path)
    for p, q in zip(a.buffers(), b.buffers(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


def test_identity_alpha_and_one_hot_beta_are_separate_networks() -> None:
    method, single = tiny_method("sluice").double(), tiny_method("single-task").double()
    with torch.no_grad():
        for alpha in method.units.alpha:
            alpha.copy_(torch.eye(6))
        one_hot_beta(method)
    wanted = single(images(), NAMES)
    for task, output in method(images(), NAMES).items():
        torch.testing.assert_close(output, wanted[task], rtol=1e-10, atol=1e-10)


def test_kronecker_alpha_and_one_hot_beta_are_cross_stitch() -> None:
    method, stitched = (
        tiny_method("sluice", options={"orthogonality": 0}).double(),
        tiny_method("cross-stitch").double(),
    )
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for alpha, unit in zip(method.units.alpha, stitched.units, strict=True):
            a = torch.randn(3, 3, generator=generator, dtype=torch.float64)
            unit.a.copy_(a)
            alpha.copy_(torch.kron(a, torch.eye(2)))
        one_hot_beta(method)
    out, wanted = method(images(), NAMES), stitched(images(), NAMES)
    for task in NAMES:
        torch.testing.assert_close(out[task], wanted[task], rtol=1e-10, atol=1e-10)
    losses = {t: o.mean((1, 2, 3)) for t, o in out.items()}
    torch.testing.assert_close(method.loss(losses), stitched.loss(losses))


@pytest.mark.parametrize(("init", "kept"), [("imbalanced", True), ("balanced", False)])
def test_equal_streams_compute_the_single_network(init: str, kept: bool) -> None:
    """With one-hot beta, where alpha maps each subspace to the same subspace; the balanced form mixes the halves."""
    method, single = tiny_method("sluice", options={"alpha": init}).double(), tiny_method("single-task").double()
    with torch.no_grad():
        one_hot_beta(method)
    wanted = single(images(), NAMES)
    close = [torch.allclose(o, wanted[t], rtol=1e-5, atol=1e-6) for t, o in method(images(), NAMES).items()]
    assert close == [kept] * 3


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_rows_of_the_tables_sum_to_one(tasks: int) -> None:
    for table in (*(alpha_table(tasks, i) for i in ("balanced", "imbalanced")), beta_table(tasks, 4, "last")):
        torch.testing.assert_close(table.sum(1), torch.ones(len(table)))
    assert beta_table(tasks, 4, "last")[0].tolist() == pytest.approx([0.1 / 3] * 3 + [0.9])
    assert beta_table(tasks, 4, "uniform")[0].tolist() == [0.25] * 4


def test_overlap_by_hand() -> None:
    """Channels (1, 2) and (3, 0) in the first half, (0, 1) and (1, 1) in the second: products 2, 3, 0, 3."""
    kernel = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).view(4, 2, 1, 1)
    assert overlap(kernel).item() == 2**2 + 3**2 + 0**2 + 3**2


@pytest.mark.parametrize("backbone", ["resnet18", "resnet34", "resnet50"])
def test_penalty_is_over_the_last_convolution_of_every_stage_and_task(backbone: str) -> None:
    method = tiny_method("sluice", 2, backbone=backbone).double()
    wanted = 0.0
    for stream in method.backbones.values():
        for stage in stream.stages:
            kernel = [m for m in stage[-1].branch.modules() if isinstance(m, torch.nn.Conv2d)][-1].weight
            assert last_convolution(stage).weight is kernel
            half = len(kernel) // 2
            g1, g2 = kernel[:half].reshape(half, -1).T, kernel[half:].reshape(half, -1).T  # (fan_in, C/2)
            wanted += torch.linalg.matrix_norm(g1.T @ g2).item() ** 2
    assert method.penalty().item() == pytest.approx(wanted, rel=1e-10)
    losses = {"segmentation": torch.ones(2, dtype=torch.float64)}
    assert method.loss(losses).item() == pytest.approx(2 + 0.1 * wanted, rel=1e-10)
    method.where = Where(phase="single-task")
    assert method.loss(losses).item() == 2.0


def test_the_last_convolution_is_never_the_projection() -> None:
    stage = tiny_method("sluice", 2).backbones["normals"].stages[1][:1]  # a stage of one block, with a projection
    assert stage[0].projection is not None
    assert last_convolution(stage) is stage[0].branch[3]


def test_projections_stand_only_where_widths_differ() -> None:
    equal = tiny_method("sluice", 2, width=0.005)  # four channels everywhere
    assert [p.numel() for p in equal.projections.parameters()] == []
    shapes = [tuple(p.shape[:2]) for p in tiny_method("sluice", 2).projections["normals"].parameters()]
    assert shapes == [(32, 4), (32, 8), (32, 16)]


def test_logs() -> None:
    logged = tiny_method("sluice", 3).log()
    assert {k: v for k, v in logged.items() if k != "overlap"} == {
        **{f"own.{s}": pytest.approx(0.9) for s in (1, 2, 3, 4)},
        "beta.last": pytest.approx(0.9),
    }
    assert logged["overlap"] > 0
