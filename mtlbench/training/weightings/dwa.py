"""Dynamic weight average (Liu, Johns and Davison, CVPR 2019, equation 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mtlbench.tasks import Task
from mtlbench.training.weighting import Weighting

DWA_TEMPERATURE = 2.0


class DynamicWeightAverage(Weighting):
    """Weights T * softmax(r / 2), r the ratio of a task's mean losses of the last two epochs; equal for two epochs.

    Epochs are counted in the steps that train heads, and begin anew with a phase. A task's mean is over the steps whose
    batch has labels of it; after an epoch without any its last mean stands.
    """

    name = "dwa"

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, float]) -> None:
        super().__init__(tasks, {})
        self.register_buffer("means", torch.zeros(2, len(tasks)))  # of the epoch before last, and of the last
        self.register_buffer("sums", torch.zeros(len(tasks)))  # of this epoch's losses
        self.register_buffer("seen", torch.zeros(len(tasks)))  # in how many of its steps a task had labels
        self.register_buffer("counts", torch.zeros(2, dtype=torch.long))  # this epoch's steps; epochs closed
        self.means: Tensor
        self.sums: Tensor
        self.seen: Tensor
        self.counts: Tensor

    def restart(self) -> None:
        self.lambdas.fill_(1.0)
        for buffer in (self.means, self.sums, self.seen, self.counts):
            buffer.zero_()

    def observe(self, losses: Mapping[str, Tensor], epoch: int) -> None:
        for task, loss in losses.items():
            self.sums[self.index[task]] += loss
            self.seen[self.index[task]] += loss != 0  # the loss of a batch without labels is 0
        self.counts[0] += 1
        if int(self.counts[0]) >= epoch:  # at once: the next epoch's first step has its weights
            self._close()

    def _close(self) -> None:
        last = torch.where(self.seen > 0, self.sums / self.seen.clamp(min=1), self.means[1])
        self.means.copy_(torch.stack([self.means[1], last]))
        self.sums.zero_()
        self.seen.zero_()
        self.counts[0] = 0
        self.counts[1] += 1
        if int(self.counts[1]) >= 2:
            known = self.means[0] > 0  # without any loss before there is no ratio
            ratio = torch.where(known, self.means[1] / self.means[0], 1.0)
            self.lambdas.copy_(len(self.lambdas) * torch.softmax(ratio / DWA_TEMPERATURE, 0))
