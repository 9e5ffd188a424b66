"""The geometric loss strategy (Chennupati et al., CVPR workshops 2019, equation 2)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mtlbench.training.weighting import Weighting

LEAST = 1e-8  # of a loss: one that is 0 moves nothing


class Geometric(Weighting):
    """The loss is the geometric mean G of the T tasks' losses; each task's part of it is G / T.

    Its gradient is that of the tasks' losses weighted with G / (T L_t), which this step's losses decide. A task without a
    label in the batch, whose loss is 0, takes no part.
    """

    name = "geometric"

    def weighted(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        sums = {task: own.detach().sum() for task, own in losses.items()}
        there = torch.stack([s for s in sums.values() if s > LEAST] or [torch.ones(())])
        mean = there.log().mean().exp()
        return {t: own * (mean / (len(there) * sums[t]) if sums[t] > LEAST else 0.0) for t, own in losses.items()}
