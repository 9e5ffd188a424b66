"""AdaShare's options; every deviation between the paper and its release is one of them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from adashare.policy import Objective
from mtlbench.method import Options


class Published(Options):
    """The release's optimisers: Adam for the weights (SGD while the policy is learned), with rates for a data set."""

    head_lr: float = Field(1e-3, gt=0)
    backbone_lr: float = Field(1e-3, gt=0)
    every: int = Field(4000, gt=0)  # steps of the final phase after which the rate falls
    factor: float = Field(0.5, gt=0, le=1)


class AdaShareOptions(Options):
    """Options of AdaShare (Sun et al., NeurIPS 2020). None: derived from the budget."""

    objective: Objective = "paper"
    lambda_sparsity: float = Field(0.001, ge=0)
    lambda_sharing: float = Field(0.01, ge=0)

    warmup: float = Field(0.2, ge=0, lt=1)  # shares of the budget's steps; the final phase takes the rest
    search: float = Field(0.3, ge=0, lt=1)
    turns: tuple[int, int] | Literal["budget", "epoch"] = "budget"  # steps of the weights' and of the logits' turn
    temperature: float = Field(5.0, gt=0)
    decay: float | None = Field(None, gt=0, le=1)  # of the temperature, after every policy turn
    curriculum: bool = True
    speed: float | None = Field(None, gt=0)  # rounds until one more block opens
    logits_lr: float | None = Field(None, gt=0)
    logits_weight_decay: float | None = Field(None, ge=0)  # None: the objective's (paper 0, release 5e-4)
    sampling: Literal["soft", "hard"] = "soft"  # hard: straight-through
    init: Literal["equal", "random", "all-execute"] = "equal"

    select: Literal["most-likely", "sample"] = "most-likely"
    candidates: int = Field(8, ge=1)  # policies drawn where select is "sample"; the best validation score is retrained
    trials: float = Field(0.2, ge=0, lt=1)  # share of the budget for all candidates' short retraining together
    retrained: Literal["best", "all"] = "best"  # all: every candidate in full, and the run's selection chooses
    retrain: Literal["fresh", "continue"] = "fresh"
    policy: str | None = None  # a decided policy, one pattern a task: no search
    bn: Literal["once", "release"] = "once"  # batch norms on a common prefix: one update, or one a task
    published: Published | None = None  # None: the study's optimiser

    @property
    def drawn(self) -> int:
        """How many policies are decided after the search: the candidates drawn, or the most likely one."""
        return self.candidates if self.select == "sample" else 1

    @field_validator("turns", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return [part.strip() for part in value.split(",")] if isinstance(value, str) and "," in value else value

    @field_validator("turns")
    @classmethod
    def _positive(cls, value: Any) -> Any:
        if isinstance(value, tuple) and min(value) < 1:
            raise ValueError("turns take 1 step or more")
        return value

    @field_validator("policy", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _shares(self) -> AdaShareOptions:
        if self.drawn > 1 and self.retrain == "continue":
            raise ValueError("retrain 'continue' goes on from the search's weights, which candidates' trials replace")
        spent = self.warmup + self.search + (self.trials if self.drawn > 1 and self.retrained == "best" else 0.0)
        if spent >= 1.0:
            raise ValueError(f"warmup, search and trials take {spent:g} of the budget and leave nothing to retrain")
        return self
