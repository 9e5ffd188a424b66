"""Cross-stitch networks (Misra, Shrivastava, Gupta and Hebert, CVPR 2016, arXiv 1604.03539)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.soft_sharing import SoftSharing, SoftSharingOptions, mixed, mixing
from mtlbench.backbones import Build
from mtlbench.method import Artefact
from mtlbench.tasks import Task


class CrossStitchOptions(SoftSharingOptions):
    """What a unit is."""

    unit: Literal["scalar", "channel"] = Field(
        "scalar", description="One number for each pair of tasks ('scalar', the paper's) or one for each channel of it."
    )
    # A mixture's weights: 0 is no better guess than .9
    units_decay: float | None = Field(0.0, ge=0, le=1e3, description="The units' weight decay; null is the study's.")


class CrossStitchUnit(nn.Module):
    """`x~_i = sum_j a_ij x_j` (Section 4, Equation 1): `a` is (T, T), or (T, T, C) per channel."""

    def __init__(self, tasks: int, channels: int | None) -> None:
        super().__init__()
        table = mixing(tasks)
        self.a = nn.Parameter(table if channels is None else table[:, :, None].repeat(1, 1, channels))

    def forward(self, features: list[Tensor], rows: Sequence[int]) -> list[Tensor]:
        a = self.a[list(rows)]
        if a.dim() == 2:
            return mixed(a, features)
        a = a.unflatten(2, (-1, *(1 for _ in features[0].shape[2:])))  # (R, T, C, 1, 1)
        return [_weighted_sum(row, features) for row in a.unbind()]


def _weighted_sum(weights: Tensor, features: Sequence[Tensor]) -> Tensor:
    products = [w * f for w, f in zip(weights.unbind(), features, strict=True)]
    return reduce(torch.add, products)


class CrossStitch(SoftSharing):
    """T networks whose features are mixed linearly after each stage; the heads read the last mixtures."""

    name = "cross-stitch"
    Options = CrossStitchOptions

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        per_channel = options.unit == "channel"
        self.units = nn.ModuleList(CrossStitchUnit(len(tasks), c if per_channel else None) for c in self.channels[1:])

    @classmethod
    def defaults(cls, preset: str, dataset: str, tasks: Sequence[str]) -> Mapping[str, Any]:
        # Section 5: units learn 10^3 times as fast as the weights, under SGD with momentum
        return {"optimizer": "sgd", "lr": 1e-3, "units_lr": 1000.0} if preset == "paper" else {}

    def mix(self, site: int, features: list[Tensor], rows: Sequence[int]) -> list[Tensor]:
        if site == 0:
            return features
        return self.units[site - 1](features, rows)  # type: ignore[no-any-return]

    def tables(self) -> list[Tensor]:
        """Each unit's (T, T) table, averaged over channels where there is one a channel."""
        tables: list[Tensor] = [unit.a.detach() for unit in self.units]  # type: ignore[operator]
        return [a if a.dim() == 2 else a.mean(2) for a in tables]

    def log(self) -> Mapping[str, float]:
        return {f"own.{site}": a.diagonal().mean().item() for site, a in enumerate(self.tables(), start=1)}

    def artefacts(self) -> Sequence[Artefact]:
        names = [t.name for t in self.tasks]
        return (Artefact("units", {"tasks": names, "after_stage": [a.tolist() for a in self.tables()]}),)
