"""The engine computes what the plain form computes: outputs, gradients and batch-norm statistics, in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from adashare.network import execute
from mtlbench.backbones import Architecture, Backbone
from mtlbench.backbones.base import initialise
from mtlbench.backbones.resnet import resnet18
from mtlbench.tasks import Task
from tests.helpers.adashare_plain import plain
from tests.helpers.networks import images, tiny_build, tiny_method

POLICIES = {
    "equal": lambda t, n, g: torch.ones(t, 1, dtype=torch.bool) & (torch.rand(1, n, generator=g) < 0.6),
    "all-execute": lambda t, n, g: torch.ones(t, n, dtype=torch.bool),
    "all-skip": lambda t, n, g: torch.zeros(t, n, dtype=torch.bool),
    "one-skips-all": lambda t, n, g: torch.ones(t, n, dtype=torch.bool) & (torch.arange(t) != t // 2)[:, None],
    "random": lambda t, n, g: torch.rand(t, n, generator=g) < 0.6,
    "rejoining-order": lambda t, n, g: (torch.arange(t)[:, None] + torch.arange(n)[None]) % 2 == 0,
}


def make_backbone(maker=resnet18, seed: int = 0) -> Backbone:
    torch.manual_seed(seed)
    backbone = maker(Architecture(width=1 / 16), nn.BatchNorm2d)
    initialise(backbone, "kaiming")
    for module in backbone.modules():  # affine and statistics that no test can mistake for the initial ones
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    return backbone.double()


def objective(features: dict[str, Tensor]) -> Tensor:
    """A scalar in which every task and element counts differently."""
    return sum(
        (number + 1) * (f * torch.linspace(-1, 1, f.numel()).double().view_as(f)).sum()
        for number, f in enumerate(features.values())
    )


def assert_equal(backbone: Backbone, engine_rows, plain_rows, leaves=()) -> None:
    other = copy.deepcopy(backbone)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    ours = execute(backbone.stem, backbone.blocks, x, engine_rows)
    grads = []
    objective(ours).backward()
    grads.append([leaf.grad for leaf in leaves])
    for leaf in leaves:
        leaf.grad = None
    theirs = plain(other.stem, other.blocks, x, plain_rows)
    objective(theirs).backward()
    for task in ours:
        torch.testing.assert_close(ours[task], theirs[task], atol=1e-6, rtol=0)
    for leaf, grad in zip(leaves, grads[0], strict=True):
        torch.testing.assert_close(grad, leaf.grad, atol=1e-5, rtol=0)
    for (name, p), q in zip(backbone.named_parameters(), other.parameters(), strict=True):
        ours_grad = torch.zeros_like(p) if p.grad is None else p.grad
        torch.testing.assert_close(ours_grad, q.grad, atol=1e-5, rtol=1e-9, msg=lambda m, n=name: f"{n}: {m}")
    for (name, a), b in zip(backbone.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("kind", POLICIES)
@pytest.mark.parametrize("tasks", [2, 3, 6])
def test_decided_policy_equals_the_plain_form(tasks: int, kind: str, train: bool) -> None:
    backbone = make_backbone().train(train)
    rows = POLICIES[kind](tasks, 8, torch.Generator().manual_seed(tasks)).tolist()
    ours = {f"t{k}": row for k, row in enumerate(rows)}
    assert_equal(backbone, ours, {t: [float(c) for c in row] for t, row in ours.items()})


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("tasks", [2, 4, 5])
@pytest.mark.parametrize("opened", [1, 3, 8])
def test_soft_policy_equals_the_plain_form(tasks: int, opened: int, train: bool) -> None:
    backbone = make_backbone().train(train)
    v = torch.rand(tasks, opened, generator=torch.Generator().manual_seed(2)).double().requires_grad_()
    rows = {f"t{k}": [True] * (8 - opened) + list(v[k].unbind()) for k in range(tasks)}
    assert_equal(backbone, rows, {t: [float(c) if c is True else c for c in row] for t, row in rows.items()}, [v])


def test_release_updates_batch_norms_once_a_task() -> None:
    backbone = make_backbone().train()
    other = copy.deepcopy(backbone)
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()
    v = torch.rand(3, 4, generator=torch.Generator().manual_seed(2)).double()
    rows = {f"t{k}": [True] * 4 + list(v[k].unbind()) for k in range(3)}
    ours = execute(backbone.stem, backbone.blocks, x, rows, share=False)
    theirs = plain(other.stem, other.blocks, x, {t: [float(c) for c in row] for t, row in rows.items()}, track=False)
    for task in ours:
        torch.testing.assert_close(ours[task], theirs[task], atol=1e-6, rtol=0)
    for (name, a), b in zip(backbone.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0, msg=lambda m, n=name: f"{n}: {m}")
    assert backbone.stem[1].num_batches_tracked == 3


def test_a_subset_of_tasks_gives_the_same_features() -> None:
    backbone = make_backbone().eval()
    x = torch.randn(2, 3, 32, 32).double()
    rows = {"a": [True] * 8, "b": [True, False] * 4, "c": [False] * 8}
    together = execute(backbone.stem, backbone.blocks, x, rows)
    for task, row in rows.items():
        assert torch.equal(execute(backbone.stem, backbone.blocks, x, {task: row})[task], together[task])


@pytest.mark.parametrize("method", ["adashare", "random-policy"])
def test_all_execute_equals_hard_sharing_after_training(method: str) -> None:
    options = {"adashare": {"policy": ",".join(["1" * 8] * 3)}, "random-policy": {"skip": 0.0}}
    networks = [tiny_method("hard-sharing", 3).double(), tiny_method(method, 3, options[method]).double()]
    for network in networks:
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-2)
        for step in range(5):
            outputs = network(images(seed=step), [t.name for t in network.tasks])
            network.loss({t: o.square().flatten(1).mean(1) for t, o in outputs.items()}).backward()
            optimizer.step()
            optimizer.zero_grad()
    hard, ours = (network.state_dict() for network in networks)
    for name, value in hard.items():
        torch.testing.assert_close(ours[name], value, atol=1e-6, rtol=0, msg=lambda m, n=name: f"{n}: {m}")


@pytest.mark.parametrize("name", ["resnet50", "vdcnn17"])
def test_other_backbones(name: str) -> None:
    """Bottlenecks, and texts: pooling inside blocks, features that a skipped block passes on unrectified."""
    shape = (3, 32, 32) if name == "resnet50" else (64,)
    backbone = tiny_build(name, shape=shape).backbone().double().train()
    x = images() if name == "resnet50" else torch.randint(0, 69, (2, 64), generator=torch.Generator().manual_seed(0))
    blocks = len(backbone.blocks)
    policy = torch.rand(3, blocks, generator=torch.Generator().manual_seed(3)) < 0.6
    rows = {f"t{k}": row for k, row in enumerate(policy.tolist())}
    other = copy.deepcopy(backbone)
    ours = execute(backbone.stem, backbone.blocks, x, rows)
    theirs = plain(other.stem, other.blocks, x, {t: [float(c) for c in row] for t, row in rows.items()})
    for task in ours:
        torch.testing.assert_close(ours[task], theirs[task], atol=1e-6, rtol=0)
    for (label, a), b in zip(backbone.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0, msg=lambda m, n=label: f"{n}: {m}")


def test_streams_fork_at_the_input() -> None:
    """Tasks with inputs of their own: each stream runs its own pass, with its own batch norms."""
    tasks = [Task("photo", "classification", 4), Task("sketch", "classification", 4)]
    method = tiny_method("adashare", tasks, {"policy": "10110111,11011011"}, streams=("photo", "sketch")).double()
    before = copy.deepcopy(method.state_dict())
    method.build.stream = "sketch"
    method(images(), ("sketch",))
    changed = {n for n, v in method.state_dict().items() if not torch.equal(v, before[n])}
    assert changed
    assert all(".norms.1." in n for n in changed)  # nothing of the first stream moved
    assert not any(f"stages.{s}.{b}.branch" in n for n in changed for s, b in ((1, 0), (2, 1)))  # skipped by it
