"""`bn=release` trains as the authors' release does: equal after one step to a naive loop over tasks and masked blocks."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from adashare.base import PolicyMethod
from adashare.method import RETRAIN, SEARCH, WARMUP, AdaShare
from mtlbench.method import Budget, Where
from tests.helpers.networks import TASKS, begun, images, tiny_method

NAMES = [t.name for t in TASKS[:3]]
ROWS = "10111011,11110000,01011010"  # block 1 runs for two tasks, the seventh for one, the last for none but the first
Forward = Callable[[Tensor], dict[str, Tensor]]


def masked(method: PolicyMethod, rows: Sequence[Sequence[float | Tensor]]) -> Forward:
    """The release's way: every task in its own pass, every block computed, v times its output and 1 - v its shortcut."""

    def forward(x: Tensor) -> dict[str, Tensor]:
        out = {}
        for name, row in zip(NAMES, rows, strict=True):
            features = method.backbone.stem(x)
            for block, v in zip(method.backbone.blocks, row, strict=True):
                short = block.shortcut(features)
                features = v * torch.relu(short + block.residual(features)) + (1 - v) * short
            out[name] = method.heads[name](features)
        return out

    return forward


def step(method: PolicyMethod, forward: Forward) -> None:
    """One step of Adam, whose weight decay moves a weight with gradient 0 and leaves one without any."""
    adam = torch.optim.Adam(method.parameters(), lr=1e-3, betas=(0.5, 0.999), weight_decay=1e-2)
    scales = torch.linspace(0.5, 1.5, 4 * 25).double()
    outputs = forward(images(seed=3))
    sum(
        (k + 1) * (o.flatten(1) * scales[: o[0].numel()]).square().sum() for k, o in enumerate(outputs.values())
    ).backward()
    adam.step()


def assert_same_state(one: PolicyMethod, other: PolicyMethod) -> None:
    for (name, a), b in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-7, msg=lambda m, n=name: f"{n}: {m}")


def make(name: str, **options: object) -> tuple[PolicyMethod, PolicyMethod]:
    """A method in float64 and its copy, both in training."""
    method = tiny_method(name, 3, {"bn": "release", **options}).double().train()
    begun(method, Budget(600, {"train": 10, "train-a": 8, "train-b": 2}))
    assert isinstance(method, PolicyMethod)
    return method, copy.deepcopy(method)


@pytest.mark.parametrize(
    ("name", "option"), [("adashare", "policy"), ("random-policy", "like"), ("shuffled-policy", "like")]
)
def test_retraining_of_a_decided_policy(name: str, option: str) -> None:
    method, other = make(name, **{option: ROWS})
    method.where = Where(0, RETRAIN)
    step(method, lambda x: method(x, NAMES))
    step(other, masked(other, other.decided.double().tolist()))
    assert_same_state(method, other)
    assert method.backbone.stem[1].num_batches_tracked == 3
    assert method.backbone.blocks[7].branch[1].num_batches_tracked == 3  # by the tasks that skip it, too


@pytest.mark.parametrize("sampling", ["soft", "hard"])
@pytest.mark.parametrize("round_", [0, 20])
def test_search(sampling: str, round_: int) -> None:
    method, other = make("adashare", sampling=sampling, curriculum=True)
    assert isinstance(method, AdaShare) and isinstance(other, AdaShare)
    for m in (method, other):
        m.where = Where(m.schedule.step(round_), SEARCH, round_, 0)
    v = other._sampled(other.schedule.temperature(round_))
    closed = 8 - other.schedule.opened(round_)
    step(method, lambda x: method(x, NAMES))
    step(other, masked(other, [[1.0] * closed + list(row.unbind()[closed:]) for row in v]))
    assert_same_state(method, other)


def test_the_warm_up_is_one_pass() -> None:
    method, other = make("adashare")
    method.where = Where(0, WARMUP)
    step(method, lambda x: method(x, NAMES))
    step(other, lambda x: {t: other.heads[t](f) for f in [other.backbone(x)] for t in NAMES})
    assert_same_state(method, other)
    assert method.backbone.stem[1].num_batches_tracked == 1


def test_what_is_deployed_computes_no_skipped_block() -> None:
    method, _ = make("adashare", policy=ROWS)
    method.where = Where(0, RETRAIN)
    deployed, x = method.eval().deployed().eval(), images()
    calls: list[int] = []
    for index, block in enumerate(method.backbone.blocks):
        block.branch.register_forward_hook(lambda *_, i=index: calls.append(i))
    assert all(torch.equal(a, b) for a, b in zip(method(x, NAMES).values(), deployed(x, NAMES).values(), strict=True))
    assert calls.count(7) == 2  # once in each of the two networks: one task runs it
