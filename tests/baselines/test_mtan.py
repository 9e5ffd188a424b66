"""What is true of MTAN."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.mtan import shared_features
from tests.helpers.networks import TASKS, images, tiny_method

NAMES = ["segmentation", "normals", "depth"]


def normalised(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    """Batch normalisation by its formula, with the batch's own statistics."""
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
    weight, bias = norm.weight[:, None, None], norm.bias[:, None, None]
    return (x - mean) / (var + norm.eps).sqrt() * weight + bias


def naive(method: nn.Module, x: Tensor, task: str) -> Tensor:
    """One task's output from the formulas: pointwise convolutions as sums over channels."""

    def pointwise(conv: nn.Module, x: Tensor) -> Tensor:
        return torch.einsum("oc,bchw->bohw", conv.weight[:, :, 0, 0], x)

    x = method.backbone.stem(x)
    attended = None
    for s, stage in enumerate(method.backbone.stages):
        u = stage[:-1](x)
        x = stage[-1](u)
        if attended is not None:
            conv, norm, _ = method.refinement[s - 1].layers
            f = normalised(F.conv2d(attended, conv.weight, padding=1), norm).relu()
            if f.shape != u.shape:
                f = F.max_pool2d(f, 2, ceil_mode=True)
            u = torch.cat((u, f), dim=1)
        mask = method.attention[task][s]
        g = normalised(pointwise(mask.squeeze[0], u), mask.squeeze[1]).relu()
        h = normalised(pointwise(mask.mask[0], g), mask.mask[1])
        attended = x / (1 + torch.exp(-h))
    return method.heads[task](attended)


def test_equals_the_formulas() -> None:
    """In float64, training mode: outputs to 1e-6 and gradients to 1e-5."""
    a = tiny_method("mtan").double()
    b = copy.deepcopy(a)
    fast, slow = a(images(4), NAMES), {t: naive(b, images(4), t) for t in NAMES}
    for task in NAMES:
        torch.testing.assert_close(fast[task], slow[task], rtol=1e-6, atol=1e-6)
    sum(o.square().mean() for o in fast.values()).backward()
    sum(o.square().mean() for o in slow.values()).backward()
    for (path, p), q in zip(a.named_parameters(), b.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-5, atol=1e-5, msg=path)


def test_shared_parts_run_once_and_refinement_once_a_task() -> None:
    method = tiny_method("mtan")
    method(images(dtype=torch.float32), NAMES)
    runs = {n: int(b) for n, b in method.named_buffers() if n.endswith("num_batches_tracked")}
    assert {v for n, v in runs.items() if n.startswith("backbone")} == {1}
    assert {v for n, v in runs.items() if n.startswith("attention")} == {1}
    assert {v for n, v in runs.items() if n.startswith("refinement")} == {3}


def test_only_the_named_tasks_masks_run() -> None:
    method = tiny_method("mtan")
    out = method(images(dtype=torch.float32), ["depth"])
    ran = {
        n.split(".")[1] for n, b in method.named_buffers() if n.startswith("attention") and "tracked" in n and b == 1
    }
    assert set(out) == ran == {"depth"}


def test_one_task_of_many_in_any_order() -> None:
    method = tiny_method("mtan").double().eval()
    together = method(images(), NAMES)
    for task in NAMES:
        torch.testing.assert_close(method(images(), [task])[task], together[task], rtol=1e-10, atol=1e-10)


def test_backbone_starts_as_hard_sharings() -> None:
    hard, mtan = tiny_method("hard-sharing").state_dict(), tiny_method("mtan").state_dict()
    assert all(torch.equal(mtan[key], value) for key, value in hard.items())


@pytest.mark.parametrize(("tasks", "factor"), [(2, 1.098), (3, 1.110), (5, 1.135)])
def test_backbone_parameters_on_resnet34(tasks: int, factor: float) -> None:
    """By hand: 9 (64 128 + 128 256 + 256 512) refine, and each task's masks take c/4 (inputs + c) at a stage."""
    with torch.device("meta"):
        method = tiny_method("mtan", tasks, backbone="resnet34", width=1.0)
    shared = sum(p.numel() for p in method.backbone.parameters())
    widths = (64, 128, 256, 512)
    refine = sum(9 * a * b + 2 * b for a, b in ((64, 128), (128, 256), (256, 512)))
    inputs = (64, 256, 512, 1024)
    masks = sum(c // 4 * (i + c) + 2 * (c // 4 + c) for i, c in zip(inputs, widths, strict=True))
    own = sum(p.numel() for n, p in method.named_parameters() if not n.startswith("heads"))
    assert own == shared + refine + tasks * masks
    assert own / shared == pytest.approx(factor, abs=1e-3)


@pytest.mark.parametrize("backbone", ["resnet34", "resnet50"])
@pytest.mark.parametrize("side", [32, 49])
def test_other_backbones_and_sizes(backbone: str, side: int) -> None:
    method = tiny_method("mtan", 2, backbone=backbone, shape=(3, side, side))
    out = method(images(side=side, dtype=torch.float32), NAMES[:2])
    assert all(o.isfinite().all() for o in out.values())


def test_a_stage_of_one_block_masks_its_own_output() -> None:
    backbone = tiny_method("mtan").backbone
    backbone.stages[1] = backbone.stages[1][:1]
    before, after = shared_features(backbone, images(dtype=torch.float32))[1]
    assert before is after


def test_domains_have_statistics_of_their_own() -> None:
    method = tiny_method("mtan", 2, streams=tuple(t.name for t in TASKS[:2]))
    method.build.stream = "normals"
    method(images(dtype=torch.float32), ["normals"])
    moved = {n for n, b in method.named_buffers() if n.endswith("num_batches_tracked") and b > 0}
    assert moved
    assert all(".norms.1." in n for n in moved)
