"""Control for AdaShare: as many skipped blocks as a learned policy, but drawn at random, then trained alike.

It answers whether *learning* the policy matters (AdaShare, section 4.2, "random policies").
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from adashare.base import PolicyMethod
from adashare.policy import parse_policy
from mtlbench.backbones import Build
from mtlbench.method import Artefact, Options
from mtlbench.seeding import generator
from mtlbench.tasks import Task


class RandomPolicyOptions(Options):
    """How many blocks are skipped: a share, or as many as in the policy `like`."""

    skip: float = Field(0.15, ge=0, le=1)  # of all T x L decisions; the published policies skip .10 to .19
    per: Literal["overall", "task"] = "overall"  # the count is kept over all tasks, or for each task
    like: str | None = None  # a decided policy, one pattern a task ("10111111,11111011"), whose counts are kept

    @field_validator("like", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


def draw_policy(skipped: Sequence[int], tasks: int, blocks: int, random: torch.Generator) -> Tensor:
    """A policy (T, L) bool with skipped[k] blocks skipped by task k, or skipped[0] over all tasks, uniformly drawn."""
    shape = (tasks, blocks) if len(skipped) == tasks else (1, tasks * blocks)
    order = torch.rand(shape, generator=random).argsort(dim=1).argsort(dim=1)  # a rank for every decision of a row
    return (order >= torch.tensor(skipped).unsqueeze(1)).view(tasks, blocks)


class RandomPolicy(PolicyMethod):
    """One backbone; each task skips blocks drawn at random by the run's seed; the whole budget trains that policy."""

    name = "random-policy"
    Options = RandomPolicyOptions
    options: RandomPolicyOptions

    def __init__(self, options: RandomPolicyOptions, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        drawn = draw_policy(self._skipped(), len(self.tasks), self.depth, generator("random-policy", build.seed))
        self.decided.copy_(drawn)

    def _skipped(self) -> list[int]:
        """How many blocks each task skips, or all of them together (one number)."""
        tasks, blocks = len(self.tasks), self.depth
        if self.options.like is None:
            each = round(self.options.skip * blocks)
            return [each] * tasks if self.options.per == "task" else [round(self.options.skip * tasks * blocks)]
        counts: list[int] = (~parse_policy(self.options.like, tasks, blocks)).sum(dim=1).tolist()
        return counts if self.options.per == "task" else [sum(counts)]

    def artefacts(self) -> Sequence[Artefact]:
        return (self.described(),)
