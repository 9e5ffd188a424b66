"""A run's whole configuration, resolved: what it says is what was run, and its hash is the run's identity."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mtlbench.errors import ConfigError, short, unknown

Selection = Literal["last", "best-val", "best-test-oracle"]
Preset = Literal["quick", "standard", "paper"]
Beta = Annotated[float, Field(ge=0, lt=1)]
LATER = ("weights", "betas", "head_lr", "head_schedule")
"""Keys that came after the first runs: part of an identity only where they say something."""


class RunConfig(BaseModel):
    """Everything that decides a run's numbers. No path, worker count or output folder is in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str
    options: dict[str, Any] = {}
    dataset: str = "scenes"
    data: dict[str, Any] = {}
    tasks: tuple[str, ...] = Field(min_length=1)
    preset: Preset = "quick"
    seed: int = Field(0, ge=0)

    backbone: str = "resnet18"
    width: float = Field(1.0, gt=0, le=8)
    head: int = Field(128, ge=4)
    dropout: float = Field(0.0, ge=0, lt=1)
    init: Literal["kaiming", "normal"] = "kaiming"
    batchnorm: Literal["domain", "shared"] = "domain"
    pretrained: str | None = None  # "imagenet", or a file's content hash

    steps: int = Field(gt=0, le=10**9)
    batch_size: int = Field(16, ge=2)
    budget: Literal["total", "final", "compute"] = "total"
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    lr: float = Field(1e-3, gt=0, le=1e6)
    weight_decay: float = Field(1e-4, ge=0, le=1e6)
    schedule: str = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1)  # share of a turn's steps with a linearly rising rate
    betas: tuple[Beta, Beta] | None = None  # of Adam and AdamW; None: (.9, .999)
    head_lr: float | None = Field(None, gt=0, le=1e6)  # the heads' rate as a multiple of lr; None: the same
    head_schedule: str | None = None  # the heads' own schedule; None: the same
    weighting: Literal["fixed", "equal", "uncertainty", "dwa"] = "fixed"
    weights: dict[str, Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]] = {}  # over the data set's, by task
    precision: Literal["fp32", "bf16"] = "fp32"

    selection: Selection = "last"
    also: tuple[Selection, ...] = ()  # rules whose choice is evaluated beside it, off the same training
    evaluations: int = Field(5, ge=1)  # validations in the final phase
    role: Literal["study", "tune", "control"] = "study"

    def identity(self, *more: str | None) -> str:
        """The hash that names the run: of this configuration and of whatever else decides its numbers."""
        said = self.model_dump(mode="json")
        for key in LATER:
            if not said[key]:
                del said[key]  # runs of before there were any are found again
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
        raise ConfigError(f"{what}: '{where}' is {short(repr(first.get('input')))}: {first['msg']}") from error
