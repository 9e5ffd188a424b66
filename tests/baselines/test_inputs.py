"""Every baseline on texts, on other backbones, and with its tensors in training's memory layout."""

from __future__ import annotations

import pytest
import torch

from mtlbench.method import Budget, Where
from mtlbench.tasks import Task
from tests.helpers.networks import images, tiny_method

METHODS = [
    ("single-task", {}),
    ("hard-sharing", {}),
    ("hard-sharing-wide", {}),
    ("hard-sharing-narrow", {}),
    ("single-task-narrow", {}),
    ("cross-stitch", {}),
    ("cross-stitch", {"unit": "channel"}),
    ("sluice", {}),
    ("nddr", {"shortcut": True}),
    ("mtan", {}),
    ("den", {}),
    ("mmoe", {}),
    ("mmoe", {"gate": "dselect-k", "experts": 4}),
    ("cgc", {}),
    ("ple", {}),
    ("ltb", {}),
    ("soft-sharing", {}),
]


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_texts_one_domain_a_task(name: str, options: dict[str, object]) -> None:
    """Characters in, classes out, forward and backward through the running domain's norms alone."""
    domains = ("books", "films")
    tasks = [Task(d, "classification", 2) for d in domains]
    method = tiny_method(name, tasks, options, backbone="vdcnn9", shape=(64,), streams=domains)
    losses = {}
    for domain in domains:
        method.build.stream = domain
        out = method(torch.randint(69, (4, 64)), [domain])
        assert out[domain].shape == (4, 2)
        losses[domain] = out[domain].square().mean(1)
    method.loss(losses).backward()
    grads = [p.grad for p in method.parameters() if p.grad is not None]
    assert grads
    assert all(g.isfinite().all() for g in grads)


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_bottlenecks_and_odd_sizes(name: str, options: dict[str, object]) -> None:
    method = tiny_method(name, 2, options, backbone="resnet50", shape=(3, 41, 49))
    x = torch.randn(2, 3, 41, 49)
    out = method(x, ["segmentation", "normals"])
    assert {t: o.shape for t, o in out.items()} == {"segmentation": (2, 4, 6, 7), "normals": (2, 3, 6, 7)}


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_the_memory_layout_changes_nothing(name: str, options: dict[str, object]) -> None:
    """Training runs with channels last."""
    plain, last = (tiny_method(name, 2, options).double().eval() for _ in range(2))
    last = last.to(memory_format=torch.channels_last)
    names = ["segmentation", "normals"]
    wanted = plain(images(), names)
    for task, output in last(images().contiguous(memory_format=torch.channels_last), names).items():
        torch.testing.assert_close(output, wanted[task], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_every_parameter_moves_in_some_turn(name: str, options: dict[str, object]) -> None:
    """Each gets a gradient in a phase whose turn may move it, over as many steps as draws of levels need."""
    method = tiny_method(name, 2, options)
    names = [t.name for t in method.tasks]
    moved: set[str] = set()
    for phase in method.phases(Budget(100, {})):
        for index, turn in enumerate(phase.turns):
            prefixes = tuple(g.prefix for g in turn.groups)
            for step in range(20 if name == "den" else 2):
                torch.manual_seed(step)
                method.where = Where(step, phase.name, 0, index)
                out = method(images(2, seed=step, dtype=torch.float32), names)
                method.loss({t: o.square().mean((1, 2, 3)) for t, o in out.items()}).backward()
            for path, p in method.named_parameters():
                if p.grad is not None and p.grad.abs().sum() > 0 and any(_under(path, x) for x in prefixes):
                    moved.add(path)
            method.zero_grad()
    assert moved == {path for path, _ in method.named_parameters()}


def _under(path: str, prefix: str) -> bool:
    return not prefix or path.startswith(prefix + ".")
