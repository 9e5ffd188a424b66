"""Control for AdaShare: the learned policy with its rows given to other tasks, then trained alike.

Every block is executed by as many tasks as in the learned policy, so its cost and its sharing are AdaShare's. It answers
whether it matters *which* task has which row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adashare.random_policy import FollowingPolicy, LikeOptions


def derangement(count: int, random: torch.Generator) -> Tensor:
    """A permutation of `count` places that leaves none where it was, uniformly drawn; of one place the identity."""
    places = torch.arange(count)
    order = torch.randperm(count, generator=random)
    while count > 1 and bool((order == places).any()):
        order = torch.randperm(count, generator=random)
    return order


class ShuffledPolicy(FollowingPolicy):
    """One backbone; each task runs the row of AdaShare's policy of the same seed that belongs to another task."""

    name = "shuffled-policy"
    Options = LikeOptions

    def _drawn(self, random: torch.Generator) -> Tensor:
        followed = self._followed()
        return self._fraction_drawn(random) if followed is None else followed[derangement(len(followed), random)]
