"""A run's whole configuration, resolved: what it says is what was run, and its hash is the run's identity."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mtlbench.errors import ConfigError, short, unknown

Selection = Literal["last", "best-val", "best-test-oracle"]
Preset = Literal["quick", "standard", "paper"]
Beta = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
LATER = ("weights", "betas", "head_lr", "head_schedule", "local_norm")
"""Keys that came after the first runs: part of an identity only where they say something."""


class RunConfig(BaseModel):
    """Everything that decides a run's numbers. No path, worker count or output folder is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    method: str = Field(description="The method's name.")
    options: dict[str, Any] = Field({}, description="The method's options, in full.")
    dataset: str = Field("scenes", description="The data set's name.")
    data: dict[str, Any] = Field({}, description="The data set's options, in full.")
    tasks: tuple[str, ...] = Field(min_length=1, description="The tasks that are trained.")
    preset: Preset = Field("quick", description="Where what is not given comes from: quick, standard or paper.")
    seed: int = Field(0, ge=0, lt=2**63, description="Decides initial weights, batches and every other draw.")

    backbone: str = Field("resnet18", description="The network every method shares parts of.")
    width: float = Field(1.0, ge=0.001, le=8, description="Times the backbone's channels.")
    head: int = Field(128, ge=4, le=65536, description="The inner channels of a task's head.")
    dropout: float = Field(0.0, ge=0, lt=1, description="The fraction of a head's inner features dropped in training.")
    init: Literal["kaiming", "normal"] = Field("kaiming", description="How convolutions are initialised.")
    batchnorm: Literal["domain", "shared"] = Field(
        "domain", description="Where tasks have inputs of their own: statistics for each of them, or shared ones."
    )
    pretrained: str | None = Field(
        None, description="The weights that training starts from: imagenet, or a file's content hash; null is none."
    )

    steps: int = Field(gt=0, le=10**9, description="Training steps, as `budget` counts them.")
    batch_size: int = Field(16, ge=2, le=2**20, description="Inputs of each stream in a step.")
    budget: Literal["total", "final", "compute"] = Field(
        "total",
        description="What `steps` counts: total is all phases, final those that may be deployed, compute the training "
        "FLOPs that hard sharing spends in them.",
    )
    optimizer: Literal["adamw", "adam", "sgd"] = Field("adamw", description="The optimiser of the weights.")
    lr: float = Field(1e-3, gt=0, le=1e6, description="The learning rate.")
    weight_decay: float = Field(1e-4, ge=0, le=1e6, description="The weight decay.")
    schedule: str = Field(
        "cosine", description="The learning rate over a turn's steps: constant, linear, cosine or step:EVERY:FACTOR."
    )
    warmup: float = Field(
        0.05, ge=0, lt=1, description="The fraction of a turn's steps in which the learning rate rises linearly."
    )
    betas: tuple[Beta, Beta] | None = Field(None, description="Adam's and AdamW's betas; null is .9 and .999.")
    head_lr: float | None = Field(
        None, gt=0, le=1e6, description="The heads' learning rate as a multiple of `lr`; null is the same."
    )
    head_schedule: str | None = Field(None, description="The heads' own schedule; null is the same.")
    weighting: str = Field("fixed", description="The name of the way in which the tasks' losses are weighted.")
    weights: dict[str, Weight] = Field({}, description="Fixed weights of tasks' losses, over the data set's.")
    local_norm: bool = Field(
        False,
        description="Of a run in several processes: whether each one's batch norms use the statistics of its own slice.",
    )
    precision: Literal["fp32", "bf16"] = Field("fp32", description="The precision of forward passes.")

    selection: Selection = Field("last", description="Which step is deployed.")
    also: tuple[Selection, ...] = Field(
        (), description="Other rules of selection, whose choice is evaluated off the same training."
    )
    evaluations: int = Field(5, ge=1, le=10**6, description="Validations in the final phases.")
    role: Literal["study", "tune", "control"] = Field("study", description="What the run is for.")

    @field_validator("schedule", "head_schedule")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None:
            parse_schedule(value)
        return value

    def identity(self, *more: str | None) -> str:
        """The hash that names the run: of this configuration and of whatever else decides its numbers."""
        said = self.model_dump(mode="json")
        for key in LATER:
            if not said[key]:
                del said[key]  # runs of before there were any are found again
        said["backbone"] = self.backbone.rpartition(":")[2]  # of a file its content counts, not where it lies
        data = [said, *more]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:10]

    def folder(self, *more: str | None) -> str:
        """The run's folder name."""
        return f"{self.method}-{self.dataset}-s{self.seed}-{self.identity(*more)}"


def parse(model: type[BaseModel], values: dict[str, Any], what: str) -> Any:
    """`values` as a validated model. ConfigError names the key, what was given, and what is allowed or nearest."""
    for key in values:
        if key not in model.model_fields:
            raise unknown(f"option of {what}", key, model.model_fields)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        if first["type"] == "literal_error" and isinstance(first["input"], str):
            raise unknown(
                f"{where} of {what}", first["input"], re.findall("'([^']+)'", first["ctx"]["expected"])
            ) from error
        said = first["msg"].removeprefix("Value error, ")
        if not where:  # of several options together
            raise ConfigError(f"{what}: {said}") from error
        allowed = bounds(model, str(first["loc"][0])) if first["type"] in OUTSIDE and len(first["loc"]) == 1 else ""
        raise ConfigError(f"{what}: '{where}' is {short(repr(first.get('input')))}: {allowed or said}") from error


OUTSIDE = ("greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number")


def bounds(model: type[BaseModel], key: str) -> str:
    """What a number may be, in words: "allowed: above 0, at most 1000000"; empty where it has no bounds."""
    words = {"gt": "above", "ge": "from", "lt": "below", "le": "at most"}
    limits = [
        (word, getattr(m, name))
        for m in model.model_fields[key].metadata
        for name, word in words.items()
        if getattr(m, name, None) is not None
    ]
    return "allowed: " + ", ".join(f"{word} {plain(limit)}" for word, limit in limits) if limits else ""


def plain(number: float) -> str:
    """A bound as people write it: 1,000,000 and 0.5."""
    return f"{int(number):,}" if number == int(number) and abs(number) < 1e15 else f"{number:g}"


def parse_schedule(schedule: str) -> tuple[str, float, float]:
    """A schedule's kind, and for "step" its EVERY and FACTOR. ConfigError for any other and for numbers it cannot mean."""
    kind, *arguments = schedule.split(":")
    if kind in ("constant", "linear", "cosine") and not arguments:
        return kind, 0.0, 0.0
    if kind != "step" or len(arguments) != 2:
        raise ConfigError(
            f"unknown schedule '{short(schedule)}' (allowed: constant, linear, cosine, step:EVERY:FACTOR)"
        )
    try:
        every, factor = (float(a) for a in arguments)
    except ValueError:
        every = factor = 0.0
    if not (0 < every <= 1e9 and 0 < factor <= 1e3):
        raise ConfigError(
            f"schedule '{short(schedule)}': EVERY (a fraction of the steps below 1, steps from 1 up, at most 1e9) and "
            "FACTOR (at most 1000) are numbers above 0, as in step:4000:0.5"
        )
    return kind, every, factor
