"""Task weights against their formulas."""

import math

import pytest
import torch

from mtlbench.tasks import Task
from mtlbench.training.weighting import make_weighting

TASKS = (Task("s", "segmentation", 4), Task("d", "depth", 1))
LAMBDAS = {"s": 1.0, "d": 3.0}


def test_fixed_and_equal():
    shares = torch.tensor([0.25, 0.75])
    fixed, equal = (make_weighting(n, TASKS, LAMBDAS) for n in ("fixed", "equal"))
    assert fixed.weight("d", shares).tolist() == [0.75, 2.25]
    assert equal.weight("d", shares).tolist() == [0.25, 0.75]
    assert not list(fixed.parameters())


def test_uncertainty_is_kendalls_and_its_optimum_is_the_loss_itself():
    weighting = make_weighting("uncertainty", TASKS, LAMBDAS)
    with torch.no_grad():
        weighting.log_variance.copy_(torch.tensor([0.4, -0.6]))
    shares = torch.tensor([0.5, 1.5])  # a loss of 2
    assert weighting.weight("s", shares).sum().item() == pytest.approx(2 * math.exp(-0.4) + 0.2)
    assert weighting.weight("d", shares).sum().item() == pytest.approx(0.5 * 2 * math.exp(0.6) - 0.3)
    with torch.no_grad():  # d/ds of 0.5 exp(-s) L + s/2 is zero where exp(s) = L
        weighting.log_variance.fill_(math.log(2.0))
    weighting.weight("d", shares).sum().backward()
    assert float(weighting.log_variance.grad[1]) == pytest.approx(0, abs=1e-6)


def test_dwa_by_hand():
    weighting = make_weighting("dwa", TASKS, LAMBDAS)
    losses = {0: (4.0, 1.0), 1: (2.0, 1.0), 2: (1.0, 1.0)}  # epoch -> (s, d), two steps each
    seen = {}
    for epoch in range(4):
        for step in range(2):
            s, d = losses.get(epoch, (1.0, 1.0))
            weighting.observe({"s": torch.tensor(s + step), "d": torch.tensor(d - 0.5 * step)}, epoch)
            seen[epoch] = weighting.lambdas.tolist()
    assert seen[0] == seen[1] == [1.0, 1.0]
    ratios = torch.tensor([2.5 / 4.5, 0.75 / 0.75])  # means of epochs 1 and 0
    expected = 2 * torch.softmax(ratios / 2.0, 0)
    assert seen[2] == pytest.approx(expected.tolist())
    assert seen[2][0] < 1 < seen[2][1]  # the task whose loss falls faster weighs less
    assert sum(seen[3]) == pytest.approx(2.0)


def test_dwa_state_survives_a_round_trip():
    one, other = (make_weighting("dwa", TASKS, LAMBDAS) for _ in range(2))
    for epoch in range(3):
        one.observe({"s": torch.tensor(3.0 - epoch), "d": torch.tensor(1.0)}, epoch)
    other.load_state_dict(one.state_dict())
    for weighting in (one, other):
        weighting.observe({"s": torch.tensor(1.0), "d": torch.tensor(1.0)}, 3)
    assert torch.equal(one.lambdas, other.lambdas)
