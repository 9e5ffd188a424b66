"""T networks: one backbone and one head a task, run side by side, their features mixed at sites. What cross-stitch,
Sluice and NDDR have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mtlbench.backbones import Backbone, Build
from mtlbench.method import Budget, Group, Knob, Method, Optimizer, Options, Phase, Turn
from mtlbench.tasks import Task

APART = "single-task"
"""The name of the warm start's phase: nothing is mixed in it."""
OWN = 0.9
"""A task's fraction of its own features at the start; the other tasks divide the rest."""


class SoftSharingOptions(Options):
    """What every method of T joined networks lets one choose."""

    warm_start: float = Field(
        0.25, ge=0, lt=1, description="The fraction of the budget spent on single-task networks before they are joined."
    )
    units_lr: Annotated[float, Knob(1.0, 10.0)] = Field(
        1.0, gt=0, le=1e6, description="The learning rate of what joins the networks, as a multiple of the weights'."
    )
    units_decay: float | None = Field(
        None, ge=0, le=1e3, description="The weight decay of what joins the networks; null is the study's."
    )
    optimizer: Literal["adamw", "adam", "sgd"] | None = Field(
        None, description="The optimiser of all weights; null is the study's."
    )
    lr: float | None = Field(None, gt=0, le=1e3, description="The learning rate of the weights; null is the study's.")


def mixing(count: int, own: float = OWN) -> Tensor:
    """The (count, count) table of each task's part in each mixture: `own` on the diagonal, rows sum to 1."""
    if count == 1:
        return torch.ones(1, 1)
    return torch.full((count, count), (1 - own) / (count - 1)).fill_diagonal_(own)


def mixed(table: Tensor, features: Sequence[Tensor], subspaces: int = 1) -> list[Tensor]:
    """The mixtures `sum_j table[i, j] * G_j` of T tasks' features (B, C, ...), each cut into S subspaces of its channels.

    G are the T * S subspaces in the order of tasks, then subspaces; `table` is (R * S, T * S), the result R features.
    """
    # One matrix product over the stack touches each feature once; T x T multiply-adds are up to 4 times slower. The
    # stack has its channels last, as training has: nothing is transposed.
    parts = [f.movedim(1, -1).unflatten(-1, (subspaces, -1)).movedim(-2, 0) for f in features]  # (S, B, h, w, C/S)
    stacked = torch.cat(parts)  # (T * S, B, h, w, C/S)
    product = (table @ stacked.flatten(1)).view(-1, subspaces, *stacked.shape[1:])  # (R, S, B, h, w, C/S)
    return [m.movedim(0, -2).flatten(-2).movedim(-1, 1) for m in product.unbind()]


def pointwise(inputs: int, outputs: int, build: Build) -> nn.Conv1d | nn.Conv2d:
    """A 1x1 convolution without bias over the features of the backbone that `build` makes, maps or sequences."""
    kind = nn.Conv2d if len(build.architecture.shape) == 3 else nn.Conv1d
    return kind(inputs, outputs, 1, bias=False)


def resized(features: Tensor, like: Tensor) -> Tensor:
    """Features (B, C, ...) brought to the size of `like` by averaging areas; untouched where it is theirs already."""
    size = like.shape[2:]
    return features if features.shape[2:] == size else F.interpolate(features, size=size, mode="area")


class SoftSharing(Method):
    """T backbones that start from the same weights, so that equal channels mean equal things.

    Site 0 lies after the stem, site s after stage s. Subclasses say in `mix` what happens there, and keep their own
    parameters under `units`.
    """

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        self.backbones = nn.ModuleDict({t.name: build.backbone() for t in tasks})
        self.heads = nn.ModuleDict({t.name: build.head(t, self.channels[-1]) for t in tasks})

    @property
    def networks(self) -> list[Backbone]:
        """The backbones in the order of the tasks."""
        return list(self.backbones.values())  # type: ignore[arg-type]

    @property
    def channels(self) -> tuple[int, ...]:
        """The features' channels at each site."""
        return self.networks[0].channels

    def mix(self, site: int, features: list[Tensor], rows: Sequence[int]) -> list[Tensor]:
        """The mixtures at a site of all tasks' features, for the tasks `rows` (their places in `self.tasks`)."""
        raise NotImplementedError

    def read(self, trail: Iterator[list[Tensor]], rows: Sequence[int]) -> list[Tensor]:
        """What the heads of the tasks `rows` get from the trail of mixtures: by default the last."""
        last: list[Tensor] = []
        for last in trail:  # noqa: B007 - the earlier ones are let go on the way
            pass
        return last

    def trail(self, x: Tensor, rows: Sequence[int]) -> Iterator[list[Tensor]]:
        """The mixtures at every site in turn, of the tasks `rows`; all networks run, since each feeds the others."""
        everyone = range(len(self.networks))
        features = self.mix(0, [s.stem(x) for s in self.networks], everyone)
        yield [features[r] for r in rows]
        for site in range(1, len(self.channels)):
            features = [s.stages[site - 1](f) for s, f in zip(self.networks, features, strict=True)]
            if site == len(self.channels) - 1:
                yield self.mix(site, features, rows)
            else:
                features = self.mix(site, features, everyone)
                yield [features[r] for r in rows]

    @property
    def apart(self) -> bool:
        """Whether the networks run on their own, as single-task networks."""
        return self.where.phase == APART

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        if self.apart:
            return {t: self.heads[t](self.backbones[t](x)) for t in tasks}
        names = list(self.heads)
        rows = [names.index(t) for t in tasks]
        features = self.read(self.trail(x, rows), rows)
        return {t: self.heads[t](f) for t, f in zip(tasks, features, strict=True)}

    def phases(self, budget: Budget) -> tuple[Phase, ...]:
        apart = min(round(self.options.warm_start * budget.steps), budget.steps - 1)
        optimizer = _optimizer(self.options)
        weights = (Group("backbones"), Group("heads"))
        joined = Turn((*self.unit_groups(), Group("")), optimizer=optimizer)
        phases = [Phase(APART, apart, (Turn(weights, optimizer=optimizer),))] if apart > 0 else []
        return (*phases, Phase("joined", budget.steps - apart, (joined,), final=True))

    def unit_groups(self) -> tuple[Group, ...]:
        """The parameter groups of the method's own parts."""
        return (Group("units", lr=self.options.units_lr, weight_decay=self.options.units_decay),)


def _optimizer(options: SoftSharingOptions) -> Optimizer:
    extra = {"momentum": 0.9} if options.optimizer == "sgd" else None
    return Optimizer(name=options.optimizer, lr=options.lr, options=extra)
