"""How the tasks' losses are weighted: orthogonal to what the tasks share, so the same for all methods, and a plug-in.

One weighting a file in `mtlbench/training/weightings/`; a user's comes from a file of their own (`--weighting file.py:Class`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from mtlbench import plugins
from mtlbench.tasks import Task


class Weighting(nn.Module):
    """The base of all: constant weights. A subclass sets `name`, and changes what it needs.

    `weights` are the study's fixed ones; a task without one has 1. State is tensors in `state_dict`. Its own parameters are
    trained with the heads.
    """

    name: ClassVar[str]

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.index = {t.name: i for i, t in enumerate(tasks)}
        self.register_buffer("lambdas", torch.tensor([weights.get(t.name, 1.0) for t in tasks]))
        self.lambdas: Tensor
        self.over_ranks: Callable[[Sequence[Tensor]], list[Tensor]] = list
        """Gradients over all processes of a run, from those found here: what a `backward` of one's own works on."""

    def weight(self, task: str, losses: Tensor) -> Tensor:
        """One task's weighted per-image losses."""
        return losses * self.lambdas[self.index[task]]

    def weighted(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Every task's weighted per-image losses, (B,) each: asked for once a step, with those of all tasks."""
        return {task: self.weight(task, own) for task, own in losses.items()}

    def backward(
        self, total: Tensor, losses: Mapping[str, Tensor], parameters: Sequence[Tensor], penalised: bool
    ) -> None:
        """Put the gradients of `parameters` in their `grad`: here that of `total`, the method's loss.

        `losses` are the weighted per-image ones, (B,) a task; `penalised`: the method adds more to them.
        """
        total.backward()

    def restart(self) -> None:
        """A phase begins: what was observed belongs to the one before."""

    def observe(self, losses: Mapping[str, Tensor], epoch: int) -> None:
        """Take in the unweighted losses (a scalar a task) of a step that trained heads; `epoch` is an epoch's steps."""


def weighting_class(spec: str) -> type[Weighting]:
    """The weighting behind a name or a `file.py:Class`."""
    return plugins.checked(plugins.load("weightings", spec), Weighting, "weighting", spec)


def make_weighting(spec: str, tasks: Sequence[Task], weights: Mapping[str, float]) -> Weighting:
    """The weighting a study names."""
    return weighting_class(spec)(tasks, weights)
