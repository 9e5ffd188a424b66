"""What is true of MTAN."""

from __future__ import annotations

import copy
from itertools import pairwise

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
            refine = method.refinement[s - 1]
            if refine.projection is None:
                conv, norm = refine.branch
                f = normalised(F.conv2d(attended, conv.weight, padding=1), norm).relu()
            else:
                reduce, norm1, _, middle, norm2, _, expand, norm3 = refine.branch
                f = normalised(pointwise(reduce, attended), norm1).relu()
                f = normalised(F.conv2d(f, middle.weight, padding=1), norm2).relu()
                f = normalised(pointwise(expand, f), norm3)
                f = (f + normalised(pointwise(refine.projection[0], attended), refine.projection[1])).relu()
            if f.shape != u.shape:
                f = F.max_pool2d(f, 2, ceil_mode=True)
            u = torch.cat((u, f), dim=1)
        mask = method.attention[task][s]
        g = normalised(pointwise(mask.squeeze[0], u), mask.squeeze[1]).relu()
        h = normalised(pointwise(mask.mask[0], g), mask.mask[1])
        attended = x / (1 + torch.exp(-h))
    return method.heads[task](attended)


@pytest.mark.parametrize("refinement", ["bottleneck", "convolution"])
def test_equals_the_formulas(refinement: str) -> None:
    """In float64, training mode: outputs to 1e-6 and gradients to 1e-5."""
    a = tiny_method("mtan", options={"refinement": refinement}).double()
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


@pytest.mark.parametrize(
    ("backbone", "tasks", "refinement", "factor"),
    [
        ("resnet18", 3, "bottleneck", 1.115),
        ("resnet34", 2, "bottleneck", 1.048),
        ("resnet34", 3, "bottleneck", 1.060),
        ("resnet34", 5, "bottleneck", 1.085),
        ("resnet50", 3, "bottleneck", 1.870),
        ("resnet18", 3, "convolution", 1.209),
        ("resnet34", 2, "convolution", 1.097),
        ("resnet34", 3, "convolution", 1.110),
        ("resnet34", 5, "convolution", 1.134),
        ("resnet50", 3, "convolution", 2.586),
    ],
)
def test_backbone_parameters(backbone: str, tasks: int, refinement: str, factor: float) -> None:
    """By hand: between stages of a and b channels 9 a b, or a bottleneck of a b/4 + 9 (b/4)^2 + b^2/4 and a projection of
    a b, and norms; each task's masks take c/4 (inputs + c) at a stage. At T = 3 the authors' code has these ratios."""
    with torch.device("meta"):
        method = tiny_method("mtan", tasks, {"refinement": refinement}, backbone=backbone, width=1.0)
    shared = sum(p.numel() for p in method.backbone.parameters())
    widths = (256, 512, 1024, 2048) if backbone == "resnet50" else (64, 128, 256, 512)
    pairs = list(pairwise(widths))
    if refinement == "convolution":
        refine = sum(9 * a * b + 2 * b for a, b in pairs)
    else:
        refine = sum(
            a * b // 4 + 9 * (b // 4) ** 2 + b * b // 4 + a * b + 2 * (b // 4 + b // 4 + b + b) for a, b in pairs
        )
    inputs = (widths[0], *(2 * c for c in widths[1:]))
    masks = sum(c // 4 * (i + c) + 2 * (c // 4 + c) for i, c in zip(inputs, widths, strict=True))
    own = sum(p.numel() for n, p in method.named_parameters() if not n.startswith("heads"))
    assert own == shared + refine + tasks * masks
    assert round(own / shared, 3) == factor


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
