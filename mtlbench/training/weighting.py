"""How the tasks' losses are weighted: orthogonal to what the tasks share, so the harness's own and the same for all.

"fixed" are the data set's lambdas, "equal" is 1 for all, "uncertainty" is Kendall et al. (CVPR 2018, equation 10) and
"dwa" is dynamic weight average (Liu et al., CVPR 2019, equation 7).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtlbench.tasks import Task

DWA_TEMPERATURE = 2.0


class Weighting(nn.Module):
    """Fixed weights, and the base of those that change. `weight` keeps the per-image losses apart: (B,) -> (B,)."""

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, float]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.index = {t.name: i for i, t in enumerate(tasks)}
        self.register_buffer("lambdas", torch.tensor([weights.get(t.name, 1.0) for t in tasks]))
        self.lambdas: Tensor

    def weight(self, task: str, losses: Tensor) -> Tensor:
        """One task's weighted per-image losses."""
        return losses * self.lambdas[self.index[task]]

    def restart(self) -> None:
        """A phase begins: what was observed belongs to the one before."""

    def observe(self, losses: Mapping[str, Tensor], epoch: int) -> None:
        """Take in the unweighted losses (a scalar a task) of a step that trained heads; `epoch` is an epoch's steps."""


class Uncertainty(Weighting):
    """exp(-s) L + s/2 for classes, half of that loss for distances; s = log sigma^2 is learned with the heads."""

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, float]) -> None:
        super().__init__(tasks, weights)
        self.log_variance = nn.Parameter(torch.zeros(len(tasks)))

    def weight(self, task: str, losses: Tensor) -> Tensor:
        s = self.log_variance[self.index[task]]
        scale = 1.0 if self.tasks[self.index[task]].meaning.likelihood else 0.5
        return scale * torch.exp(-s) * losses + s / (2 * len(losses))


class DynamicWeightAverage(Weighting):
    """Weights T * softmax(r / 2), r the ratio of a task's mean losses of the last two epochs; equal for two epochs.

    Epochs are counted in the steps that train heads, and begin anew with a phase.
    """

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, float]) -> None:
        super().__init__(tasks, weights)
        self.lambdas.fill_(1.0)
        self.register_buffer("means", torch.zeros(2, len(tasks)))  # of the epoch before last, and of the last
        self.register_buffer("sums", torch.zeros(len(tasks)))  # of this epoch's losses
        self.register_buffer("counts", torch.zeros(2, dtype=torch.long))  # this epoch's steps; epochs closed
        self.means: Tensor
        self.sums: Tensor
        self.counts: Tensor

    def restart(self) -> None:
        self.lambdas.fill_(1.0)
        for buffer in (self.means, self.sums, self.counts):
            buffer.zero_()

    def observe(self, losses: Mapping[str, Tensor], epoch: int) -> None:
        for task, loss in losses.items():
            self.sums[self.index[task]] += loss
        self.counts[0] += 1
        if int(self.counts[0]) >= epoch:  # at once: the next epoch's first step has its weights
            self._close()

    def _close(self) -> None:
        self.means.copy_(torch.stack([self.means[1], self.sums / self.counts[0]]))
        self.sums.zero_()
        self.counts[0] = 0
        self.counts[1] += 1
        if int(self.counts[1]) >= 2:
            known = self.means[0] > 0  # without any loss before there is no ratio
            ratio = torch.where(known, self.means[1] / self.means[0], 1.0)
            self.lambdas.copy_(len(self.lambdas) * torch.softmax(ratio / DWA_TEMPERATURE, 0))


def make_weighting(name: str, tasks: Sequence[Task], weights: Mapping[str, float]) -> Weighting:
    """The weighting a study names."""
    if name == "uncertainty":
        return Uncertainty(tasks, weights)
    if name == "dwa":
        return DynamicWeightAverage(tasks, weights)
    return Weighting(tasks, weights if name == "fixed" else {})
