"""Stochastic depth: which blocks run in training, and the expectation after."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from adashare.stochastic_depth import survival
from mtlbench.method import Where
from tests.helpers.networks import images, tiny_method

NAMES = ["segmentation", "normals"]


def test_survival_falls_linearly_to_one_half() -> None:
    assert survival(4, 0.5) == [0.875, 0.75, 0.625, 0.5]


def test_blocks_run_as_often_as_they_should_and_skipped_ones_do_not() -> None:
    method = tiny_method("stochastic-depth", 2)
    draws = []
    for step in range(3000):
        method.where = Where(step)
        draws.append(method._scales())
    share = torch.tensor(draws).mean(0)
    torch.testing.assert_close(share, torch.tensor(survival(8, 0.5)), atol=0.04, rtol=0)
    assert set(torch.tensor(draws).unique().tolist()) == {0.0, 1.0}


def test_training_step_by_hand() -> None:
    method = tiny_method("stochastic-depth", 2).double()
    method.where = Where(next(s for s in range(100) if dropped(method, s) == 3))
    scales, x = method._scales(), images()
    ran = []
    for block in method.backbone.blocks:
        block.branch.register_forward_hook(lambda *_, b=block: ran.append(b))
    torch.manual_seed(0)
    outputs = method(x, NAMES)
    assert ran == [b for b, s in zip(method.backbone.blocks, scales, strict=True) if s]
    features = method.backbone.stem(x)
    for block, scale in zip(method.backbone.blocks, scales, strict=True):
        features = block(features) if scale else F.relu(block.shortcut(features))
    assert torch.equal(outputs["normals"], method.heads["normals"](features))


def dropped(method, step: int) -> int:
    method.where = Where(step)
    return method._scales().count(0.0)


def test_evaluation_is_the_expectation() -> None:
    method = tiny_method("stochastic-depth", 2).double().eval()
    x = images()
    features = method.backbone.stem(x)
    for depth, block in enumerate(method.backbone.blocks, start=1):
        features = F.relu(block.shortcut(features) + (1 - 0.5 * depth / 8) * block.residual(features))
    assert torch.equal(method(x, NAMES)["segmentation"], method.heads["segmentation"](features))


def test_one_draw_a_step_for_all_tasks_and_streams() -> None:
    method = tiny_method("stochastic-depth", 2, {"drop": 0.9}).double()
    method.where = Where(11)
    x = images()
    together = method(x, NAMES)
    for task in reversed(NAMES):
        torch.testing.assert_close(method(x, [task])[task], together[task])


def test_without_dropping_it_is_hard_sharing() -> None:
    method, hard = tiny_method("stochastic-depth", 2, {"drop": 0.0}), tiny_method("hard-sharing", 2)
    x = images(dtype=torch.float32)
    for a, b in zip(method(x, NAMES).values(), hard(x, NAMES).values(), strict=True):
        torch.testing.assert_close(a, b)
    assert [n for n, _ in method.named_parameters()] == [n for n, _ in hard.named_parameters()]


@pytest.mark.parametrize("drop", [-0.1, 1.1])
def test_wrong_drop(drop: float) -> None:
    with pytest.raises(Exception, match="'drop' is"):
        tiny_method("stochastic-depth", 2, {"drop": drop})
