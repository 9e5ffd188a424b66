"""AdaShare's options; every deviation between the paper and its release is one of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from adashare.policy import Objective
from mtlbench.method import Knob, Options, positive_turns, split_turns

BatchNorm = Literal["once", "release"]
BN_MEANING = (
    "How batch norms are updated in training: 'once' for every distinct computation, or as the 'release' does: every "
    "task makes its own pass, and blocks it skips are computed with weight 0."
)


class AdaShareOptions(Options):
    """Options of AdaShare (Sun et al., NeurIPS 2020). None: derived from the budget."""

    objective: Objective = Field(
        "paper",
        description="The penalties on the policy: 'paper' is the paper's equations 3 and 4, 'release' the authors' code.",
    )
    lambda_sparsity: Annotated[float, Knob(0.0003, 0.3)] = Field(
        0.001, ge=0, le=1e6, description="The weight of the penalty on executed blocks."
    )
    lambda_sharing: Annotated[float, Knob(0.001, 1.0)] = Field(
        0.01, ge=0, le=1e6, description="The weight of the penalty on tasks' different policies."
    )

    warmup: float = Field(
        0.2, ge=0, lt=1, description="The fraction of the budget's steps that hard sharing takes first."
    )
    search: float = Field(
        0.3, ge=0, lt=1, description="The fraction that learns the policy; the final phase takes what is left."
    )
    turns: tuple[int, int] | Literal["budget", "epoch"] = Field(
        "budget",
        description="Steps of the search's turns of weights and of logits (400,100), an 'epoch' of each part, or 'budget'.",
    )
    temperature: float = Field(5.0, gt=0, le=1e6, description="The temperature of the relaxation in the first round.")
    decay: float | None = Field(
        None, gt=0, le=1, description="The factor on the temperature after every round; null ends at .5 or below."
    )
    curriculum: bool = Field(
        True, description="Whether blocks open to the policy one after the other, the last ones first."
    )
    speed: float | None = Field(
        None, gt=0, le=1e6, description="Rounds until one more block opens; null opens all by half of the rounds."
    )
    logits_lr: float | None = Field(
        None,
        gt=0,
        le=1e3,
        description="The learning rate of the logits' Adam; null lets a logit travel by 10 in the search.",
    )
    logits_weight_decay: float | None = Field(
        None, ge=0, le=1e3, description="The logits' weight decay; null is the objective's (paper 0, release 5e-4)."
    )
    search_optimizer: Literal["adamw", "adam", "sgd"] | None = Field(
        None,
        description="The weights' optimiser in the search, at the study's rates held constant; null is the study's.",
    )
    sampling: Literal["soft", "hard"] = Field(
        "soft", description="Whether the search mixes a block's two ends ('soft') or runs one of them ('hard')."
    )
    init: Literal["equal", "random", "all-execute"] = Field(
        "equal", description="The logits' start: alpha .5, drawn from N(0, 1), or alpha .95."
    )

    select: Literal["most-likely", "sample"] = Field(
        "most-likely", description="How the policy is decided: the most likely one, or the best of several drawn."
    )
    candidates: int = Field(8, ge=1, le=1000, description="How many policies are drawn where `select` is 'sample'.")
    trials: float = Field(
        0.2, ge=0, lt=1, description="The fraction of the budget for the drawn policies' short retraining together."
    )
    retrained: Literal["best", "all"] = Field(
        "best", description="Whether the best drawn policy is retrained, or 'all' in full for the run's rule to choose."
    )
    retrain: Literal["fresh", "continue"] = Field(
        "fresh", description="Whether retraining starts from the initial weights or goes on from the search's."
    )
    policy: str | None = Field(
        None, description="A decided policy, one pattern a task (10111111,11111011, 1 executes), which needs no search."
    )
    bn: BatchNorm = Field("once", description=BN_MEANING)

    @property
    def drawn(self) -> int:
        """How many policies are decided after the search: the candidates drawn, or the most likely one."""
        return self.candidates if self.select == "sample" else 1

    _split = field_validator("turns", mode="before")(split_turns)
    _positive = field_validator("turns")(positive_turns)

    @field_validator("policy", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value

    @model_validator(mode="after")
    def _fractions(self) -> AdaShareOptions:
        if self.drawn > 1 and self.retrain == "continue":
            raise ValueError("retrain 'continue' goes on from the search's weights, which candidates' trials replace")
        spent = self.warmup + self.search + (self.trials if self.drawn > 1 and self.retrained == "best" else 0.0)
        if spent >= 1.0:
            raise ValueError(f"warmup, search and trials take {spent:g} of the budget and leave nothing to retrain")
        return self
