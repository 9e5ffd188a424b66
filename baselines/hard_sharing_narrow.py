"""Capacity control: hard sharing made as small as a network that was learned, so that a smaller network is not taken for
better sharing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from baselines.capacity import macs, nearest_width, parameters
from mtlbench.backbones import Build
from mtlbench.errors import ConfigError
from mtlbench.method import Artefact, Method, Options
from mtlbench.tasks import Task

LEAST = 1 / 64
"""Of the study's width: no backbone is made narrower."""


class HardSharingNarrowOptions(Options):
    """How small: as the deployed network of a run of the same seed, or as told."""

    like: str | None = Field(
        "adashare", description="The method whose deployed backbone of the same seed sets the size; null follows none."
    )
    parameters: float | None = Field(
        None, gt=0, le=1e18, description="Parameters of the backbone aimed at; taken from the run that is followed."
    )
    macs: float | None = Field(
        None, gt=0, le=1e18, description="Multiply-adds of the backbone aimed at; taken from the run that is followed."
    )
    fraction: float = Field(
        0.5, gt=0, le=1, description="Of hard sharing's parameters and multiply-adds, where no run is followed."
    )


class HardSharingNarrow(Method):
    """One shared backbone, narrowed until both its parameters and its multiply-adds are about those of another network,
    or below: the narrower of the two widths that come nearest."""

    name = "hard-sharing-narrow"
    Options = HardSharingNarrowOptions

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        own = build.architecture.width
        sizes = {"parameters": partial(parameters, build), "macs": partial(macs, build)}
        aims = {name: getattr(options, name) or options.fraction * size(own) for name, size in sizes.items()}
        self.width = min(nearest_width(size, aims[name], LEAST * own, own) for name, size in sizes.items())
        self.ratios = {f"backbone_{name}_ratio": size(self.width) / aims[name] for name, size in sizes.items()}
        self.backbone = build.backbone(width=self.width)
        self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})

    @classmethod
    def follows(cls, options: Any) -> str | None:
        return options.like if options.parameters is None and options.macs is None else None

    @classmethod
    def completed(cls, options: Any, artefacts: Mapping[str, Any]) -> Any:
        cost = artefacts.get("cost")
        if cost is None:
            raise ConfigError(f"{cls.name} follows the run of a network whose costs were not measured")
        sizes = {"parameters": float(cost["parameters"]["backbone"]), "macs": float(cost["macs"]["backbone"])}
        return options.model_copy(update=sizes)

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        features = self.backbone(x)
        return {t: self.heads[t](features) for t in tasks}

    def artefacts(self) -> Sequence[Artefact]:
        return (Artefact("capacity", {"width": self.width, **self.ratios}),)
