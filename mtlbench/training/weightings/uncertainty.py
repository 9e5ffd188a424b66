"""Uncertainty weighting (Kendall, Gal and Cipolla, CVPR 2018, equation 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from mtlbench.tasks import Task
from mtlbench.training.weighting import Weighting


class Uncertainty(Weighting):
    """exp(-s) L + s/2 for classes, half of that loss for distances; s = log sigma^2 is learned with the heads.

    A batch without any label of a task, whose loss is 0, says nothing of its s.
    """

    name = "uncertainty"

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, float]) -> None:
        super().__init__(tasks, weights)
        self.log_variance = nn.Parameter(torch.zeros(len(tasks)))

    def weight(self, task: str, losses: Tensor) -> Tensor:
        s = self.log_variance[self.index[task]]
        scale = 1.0 if self.tasks[self.index[task]].meaning.likelihood else 0.5
        there = losses.detach().sum() != 0
        return scale * torch.exp(-s) * losses + torch.where(there, s, 0.0) / (2 * len(losses))
