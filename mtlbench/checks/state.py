"""Checks of what is kept and what is shipped: the state of a method, and the network it deploys."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mtlbench.checks.outputs import differences, images, tensors
from mtlbench.checks.subject import Subject, outputs


def round_trip(subject: Subject) -> Iterator[str]:
    """A fresh instance of another seed that loads the state, with `where` restored, predicts the same."""
    fresh = subject.build(seed=1, dtype=torch.float64)
    for name, value in fresh.state_dict().items():
        if not isinstance(value, Tensor):
            yield f"'{name}' in state_dict is {type(value).__name__} (only tensors can be kept)"
            return
    trained = subject.trained.trained
    fresh.load_state_dict({name: value.clone() for name, value in trained.state_dict().items()})
    fresh.where = trained.where
    names = tuple(t.name for t in trained.tasks)
    before = outputs(trained, images(2), names)
    after = outputs(fresh.eval().deployed().eval(), images(2), names)
    yield from differences(before, after, names, "the trained method", "what a fresh one that loaded its state deploys")


def deployed(subject: Subject) -> Iterator[str]:
    """`deployed()` gives the trained network's outputs in eval, for all tasks and for each, and leaves training alone."""
    run = subject.trained
    if run.modes:
        yield f"after deployed() was evaluated in the middle of training '{run.modes[0]}' is left in another mode"
    method = run.trained
    names = tuple(t.name for t in method.tasks)
    before = tensors(method)
    network = method.deployed().eval()
    after = tensors(method)
    for name in before:
        if name not in after or not torch.equal(before[name].nan_to_num(), after[name].nan_to_num()):
            yield f"deployed() changed '{name}' of the method"
    x = images(2)
    whole = outputs(method, x, names)
    for some in (names, *((n,) for n in names)):
        found = outputs(network, x, some)
        if set(found) != set(some):
            yield f"deployed() returned {', '.join(found)} (asked for {', '.join(some)})"
        else:
            yield from differences(whole, found, some, "the trained network", "deployed(), in eval mode")
