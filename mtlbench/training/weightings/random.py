"""Random loss weighting (Lin, Feiyang, Zhang and Tsang, TMLR 2022): a strong control for every learned weighting."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mtlbench.training.weighting import Weighting


class Random(Weighting):
    """T softmax(z), z drawn from N(0, 1) anew in every step (the step's own seed decides it)."""

    name = "random"

    def weighted(self, losses: Mapping[str, Tensor]) -> dict[str, Tensor]:
        count = len(self.lambdas)
        self.lambdas.copy_(count * torch.softmax(torch.randn(count), 0))
        return super().weighted(losses)
