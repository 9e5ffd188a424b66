"""Soft sharing by distance (Duong, Cohn, Bird and Cook, ACL 2015): T networks, and a penalty on how far their weights lie
apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from baselines.single_task import SingleTask
from mtlbench.method import Knob, Options


class DistancePenaltyOptions(Options):
    """How strongly the networks are held together."""

    distance: Annotated[float, Knob(1e-4, 0.1)] = Field(
        0.01,
        ge=0,
        le=1e6,
        description="The weight of the squared distance of two backbones' weights, averaged over pairs of tasks.",
    )


class DistancePenalty(SingleTask):
    """T networks that start equal and are held together: the distance between their backbones joins the loss.

    The penalty is `lambda * mean over pairs of || W_i - W_j ||^2`.
    """

    name = "soft-sharing"
    anchor = None  # it is compared, and nothing is compared with it
    Options = DistancePenaltyOptions
    options: DistancePenaltyOptions

    def loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        total = super().loss(losses)
        if self.options.distance == 0 or len(self.tasks) == 1:
            return total
        return total + self.options.distance * self.distance()

    def distance(self) -> Tensor:
        """The squared distance of two backbones' weights, averaged over the pairs."""
        count = len(self.tasks)
        columns = zip(*(b.parameters() for b in self.backbones.values()), strict=True)
        # Over all ordered pairs the squared distances sum to 2 T times the squared distances from the mean.
        spread = [(together - together.mean(0)).square().sum() for together in map(torch.stack, columns)]
        return torch.stack(spread).sum() * 2 / (count - 1)

    def log(self) -> Mapping[str, float]:
        return {"distance": float(self.distance().detach())} if len(self.tasks) > 1 else {}
