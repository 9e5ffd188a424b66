"""Control for AdaShare: as many skipped blocks as a learned policy, but drawn at random, then trained alike.

It answers whether *learning* the policy matters (AdaShare, section 4.2, "random policies").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from adashare.base import PolicyMethod
from adashare.options import BN_MEANING, BatchNorm
from adashare.policy import parse_policy
from adashare.presets import published
from mtlbench.backbones import Build
from mtlbench.errors import ConfigError
from mtlbench.method import Artefact, Options
from mtlbench.seeding import generator
from mtlbench.tasks import Task

LEARNED = "learned"


class LikeOptions(Options):
    """Which decided policy is followed; options that say how many blocks are skipped instead follow none."""

    like: str | None = Field(
        LEARNED,
        description="The policy followed: 'learned' is that of the same seed's adashare run, or one pattern a task is "
        "given (10111111,11111011, 1 executes); null follows none.",
    )
    skip: float = Field(
        0.15,
        ge=0,
        le=1,
        description="The fraction of decisions that skip where no policy is followed; the published ones skip .10 to .19.",
    )

    bn: BatchNorm = Field("once", description=BN_MEANING)

    @model_validator(mode="before")
    @classmethod
    def _fraction_given(cls, data: Any) -> Any:
        return {**data, "like": None} if isinstance(data, dict) and "skip" in data and "like" not in data else data

    @field_validator("like", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class RandomPolicyOptions(LikeOptions):
    """As many skipped blocks as in a policy, or a fraction of all decisions."""

    per: Literal["overall", "task"] | None = Field(
        None,
        description="Whether the count is kept for each task ('task', the default where a policy is followed) or over "
        "all tasks together ('overall', the default of a fraction).",
    )


class FollowingPolicy(PolicyMethod):
    """A decided policy made from AdaShare's of the same seed; the whole budget trains it.

    Without one (a tuning trial, a check) the policy is drawn by the fraction `skip`.
    """

    options: Any

    @classmethod
    def defaults(cls, preset: str, dataset: str, tasks: Sequence[str]) -> Mapping[str, Any]:
        bn = published(dataset, tasks).get("bn") if preset == "paper" else None
        return {"bn": bn} if bn else {}

    @classmethod
    def follows(cls, options: Any) -> str | None:
        return "adashare" if options.like == LEARNED else None

    @classmethod
    def completed(cls, options: Any, artefacts: Mapping[str, Any]) -> Any:
        policy = artefacts.get("policy")
        if policy is None:
            raise ConfigError(f"{cls.name} follows a learned policy, and the run it follows kept none")
        rows = ("".join(str(int(choice)) for choice in row) for row in policy["decided"])
        return options.model_copy(update={"like": ",".join(rows)})

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        self.decided.copy_(self._drawn(generator("random-policy", build.seed)))

    def _drawn(self, random: torch.Generator) -> Tensor:
        """The policy to train, (T, L) bool."""
        raise NotImplementedError

    def _followed(self) -> Tensor | None:
        """The policy followed, (T, L) bool."""
        like = self.options.like
        return None if like in (None, LEARNED) else parse_policy(like, len(self.tasks), self.depth)

    def _fraction_drawn(self, random: torch.Generator) -> Tensor:
        """A policy that skips the fraction `skip` of all decisions."""
        tasks, blocks = len(self.tasks), self.depth
        return draw_policy([round(self.options.skip * tasks * blocks)], tasks, blocks, random)

    def artefacts(self) -> Sequence[Artefact]:
        return (self.described(),)


def draw_policy(skipped: Sequence[int], tasks: int, blocks: int, random: torch.Generator) -> Tensor:
    """A policy (T, L) bool with skipped[k] blocks skipped by task k, or skipped[0] over all tasks, uniformly drawn."""
    shape = (tasks, blocks) if len(skipped) == tasks else (1, tasks * blocks)
    order = torch.rand(shape, generator=random).argsort(dim=1).argsort(dim=1)  # a rank for every decision of a row
    return (order >= torch.tensor(skipped).unsqueeze(1)).view(tasks, blocks)


class RandomPolicy(FollowingPolicy):
    """One backbone; each task skips as many blocks as in AdaShare's policy of the same seed, drawn at random."""

    name = "random-policy"
    Options = RandomPolicyOptions

    def _drawn(self, random: torch.Generator) -> Tensor:
        tasks, blocks = len(self.tasks), self.depth
        followed = self._followed()
        if followed is None:
            each = [round(self.options.skip * blocks)] * tasks
            return (
                draw_policy(each, tasks, blocks, random) if self.options.per == "task" else self._fraction_drawn(random)
            )
        counts: list[int] = (~followed).sum(dim=1).tolist()
        return draw_policy([sum(counts)] if self.options.per == "overall" else counts, tasks, blocks, random)
