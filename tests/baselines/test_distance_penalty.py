"""What is true of soft sharing by distance."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch

from tests.helpers.networks import TASKS, images, tiny_method

NAMES = [t.name for t in TASKS[:3]]


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_distance_is_the_mean_over_pairs(tasks: int) -> None:
    """Against the loop over pairs, its gradients too, in float64."""
    method, other = (tiny_method("soft-sharing", tasks).double() for _ in range(2))
    for m in (method, other):
        random = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for p in m.parameters():
                p.add_(torch.randn(p.shape, generator=random, dtype=p.dtype))
    pairs = list(combinations(other.backbones.values(), 2))
    naive = sum((p - q).square().sum() for a, b in pairs for p, q in zip(a.parameters(), b.parameters(), strict=True))
    (naive / len(pairs)).backward()
    found = method.distance()
    found.backward()
    torch.testing.assert_close(found, naive / len(pairs), rtol=1e-12, atol=0)
    for p, q in zip(method.backbones.parameters(), other.backbones.parameters(), strict=True):
        torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-9)
    assert all(p.grad is None for p in method.heads.parameters())


def test_without_penalty_it_is_single_task() -> None:
    method, single = (
        tiny_method("soft-sharing", options={"distance": 0.0}).double(),
        tiny_method("single-task").double(),
    )
    for _ in range(2):
        for m in (method, single):
            out = m(images(4), NAMES)
            m.loss({t: o.square().mean((1, 2, 3)) for t, o in out.items()}).backward()
            torch.optim.SGD(m.parameters(), 0.1).step()
    states = zip(method.state_dict().values(), single.state_dict().values(), strict=True)
    assert all(torch.equal(a, b) for a, b in states)
    assert method.log()["distance"] > 0


def test_the_penalty_joins_the_loss_and_starts_at_nothing() -> None:
    method = tiny_method("soft-sharing", options={"distance": 2.0})
    losses = {t: torch.ones(2) for t in NAMES}
    assert method.loss(losses) == 6
    with torch.no_grad():
        next(iter(method.backbones["depth"].parameters())).view(-1)[0] += 3.0
    assert method.loss(losses).item() == pytest.approx(6 + 2.0 * 9 * 2 / 3)  # two of the three pairs


def test_the_stronger_the_closer() -> None:
    apart = []
    for distance in (0.0, 0.1, 1.0):
        method = tiny_method("soft-sharing", 2, {"distance": distance})
        sgd = torch.optim.SGD(method.parameters(), 0.05)
        for step in range(8):
            out = method(images(4, seed=step, dtype=torch.float32), NAMES[:2])
            sgd.zero_grad()
            method.loss({t: (o - k).square().mean((1, 2, 3)) for k, (t, o) in enumerate(out.items())}).backward()
            sgd.step()
        apart.append(method.log()["distance"])
    assert apart[0] > apart[1] > apart[2] > 0


def test_one_task_has_no_distance() -> None:
    method = tiny_method("soft-sharing", 1)
    assert method.loss({"segmentation": torch.ones(2)}) == 2
    assert method.log() == {}
