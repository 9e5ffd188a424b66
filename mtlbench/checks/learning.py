"""Checks of training: who gets gradient, who moves, and whether the same run comes out again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from mtlbench.checks.subject import Run, Subject
from mtlbench.checks.tiny import Tiny
from mtlbench.training.loop import Trainer

NOTHING = 1e-13
"""Gradient below this share of the largest is rounding: a bias before a batch norm has about 1e-16."""
DRAWS = (1, 2, 3)
"""Seeds of other initial weights: a unit may have died by the draw of them, and one in eight dies twice at one place."""
FIRST_STEPS = 2
LEARN_STEPS = 30
Slices = dict[tuple[str, int], list[int]]
"""Parameter and dimension -> places along it."""


def gradients(subject: Subject) -> Iterator[str]:
    """Every input and output channel of every parameter gets gradient in some phase."""
    dead = without_gradient(subject.trained.trainer.gradients)
    for seed in DRAWS:
        if not dead:
            return
        again = without_gradient(subject.run(seed=seed).trainer.gradients)
        both = {key: [p for p in places if p in again.get(key, [])] for key, places in dead.items()}
        dead = {key: places for key, places in both.items() if places}
    for key, places in dead.items():
        yield describe(key, places, subject.trained.trainer.gradients[key[0]])


def without_gradient(summed: Mapping[str, Tensor]) -> Slices:
    """The slices along the first two dimensions of summed absolute gradients that hold nothing."""
    largest = max((g.max().item() for g in summed.values() if g.numel()), default=0.0)
    found: Slices = {}
    for name, gradient in summed.items():
        for dim in range(min(2, gradient.dim())) or (0,):
            rows = gradient.movedim(dim, 0).flatten(1).sum(1) if gradient.dim() > 1 else gradient.reshape(-1)
            places = (rows <= NOTHING * largest).nonzero().flatten().tolist()
            if places:
                found[name, dim] = places
    return found


def describe(key: tuple[str, int], places: list[int], gradient: Tensor) -> str:
    """One line for the slices of a parameter."""
    name, dim = key
    count = gradient.shape[dim] if gradient.dim() else 1
    if len(places) == count:
        return f"'{name}' {tuple(gradient.shape)} gets no gradient in any phase (a constant belongs in a buffer)"
    kind = ("output channel", "input channel")[dim] if gradient.dim() > 1 else "element"
    shown = ", ".join(map(str, places[:5])) + (", ..." if len(places) > 5 else "")
    return f"'{name}' {tuple(gradient.shape)} gets no gradient in {kind} {shown} ({len(places)} of {count})"


def turns(subject: Subject) -> Iterator[str]:
    """No parameter moves outside its turn, and none is replaced."""
    trainer = subject.trained.trainer
    for name, (step, segment) in trainer.strayed.items():
        moving = ", ".join(g.prefix or "the rest" for g in segment.turn.groups)
        place = f"phase '{segment.phase.name}', turn {segment.turn_index}, which moves {moving}"
        yield f"'{name}' moved at step {step} outside its turn ({place})"
    now = dict(subject.trained.method.named_parameters())
    for name, parameter in trainer.parameters.items():
        if now.get(name) is not parameter:
            yield f"'{name}' was {'replaced' if name in now else 'removed'} in training: the optimiser moved the old one"
    for name in now.keys() - trainer.parameters.keys():
        yield f"'{name}' was added in training: no optimiser holds it"


def learns(subject: Subject) -> Iterator[str]:
    """Every task's loss falls on one tiny batch."""
    run = Run(Trainer, subject, Tiny(one_batch=True), LEARN_STEPS).train()
    for task in run.method.tasks:
        losses = [line[task.name] for line in run.losses]
        last = sum(losses[-3:]) / len(losses[-3:])
        if not last < losses[0]:
            yield f"the loss of '{task.name}' on one batch is {losses[0]:.4g} at first and {last:.4g} after {len(losses)} steps"


def seeds(subject: Subject) -> Iterator[str]:
    """Equal seeds give equal initial weights and equal first losses."""
    first = subject.trained
    torch.rand(1)  # whoever draws from torch's global generator meets another state of it
    second = Run(Trainer, subject, Tiny(dtype=torch.float64), subject.steps, stop=FIRST_STEPS)
    initial = {name: value.clone() for name, value in second.method.state_dict().items()}
    for name, value in subject.build(dtype=torch.float64).state_dict().items():
        if not same(value, initial[name]):
            yield f"'{name}' differs between two builds of one seed: make it by build.module, or draw with a seeded generator"
            return
    second.train()
    for step, (a, b) in enumerate(zip(first.losses, second.losses, strict=False)):
        for name in a:
            if a[name] != b[name]:
                yield f"the loss '{name}' at step {step} is {a[name]!r} in one run and {b[name]!r} in another of the same seed"
                return


def resumes(subject: Subject) -> Iterator[str]:
    """A run that was interrupted inside a turn ends with the same bits."""
    whole = subject.trained
    saved = whole.saved
    assert saved is not None
    rest = Run(Trainer, subject, Tiny(dtype=torch.float64), subject.steps)
    rest.trainer.restore(saved)
    rest.train()
    step = saved["state"]["step"]
    for name, value in whole.method.state_dict().items():
        if not same(value, rest.method.state_dict()[name]):
            yield (
                f"'{name}' ends differently in a run that was interrupted after step {step}: something that changes in "
                "training is neither in state_dict nor a function of `where`"
            )


def same(a: Tensor, b: Tensor) -> bool:
    """Equal bits, NaN included."""
    return a.shape == b.shape and a.dtype == b.dtype and torch.equal(a.nan_to_num(nan=0.5), b.nan_to_num(nan=0.5))
