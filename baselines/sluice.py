"""Sluice networks (Ruder, Bingel, Augenstein and Søgaard, AAAI 2019, arXiv 1705.08142), carried to convolutions: the
paper stacks recurrent layers of one width; here a stage is a layer, a subspace is a half of the channels, and a skip
connection from a stage of another width or size enters through a 1x1 projection and a resize."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from baselines.soft_sharing import OWN, SoftSharing, SoftSharingOptions, mixed, mixing, pointwise, resized
from mtlbench.backbones import Build
from mtlbench.method import Artefact
from mtlbench.tasks import Task

SUBSPACES = 2


class SluiceOptions(SoftSharingOptions):
    """How the mixtures start, and the penalty's weight."""

    alpha: Literal["imbalanced", "balanced"] = Field(
        "imbalanced", description="Every subspace starts as .9 of its own ('imbalanced') or as the mean of all."
    )
    beta: Literal["last", "uniform"] = Field(
        "last", description="A head starts with .9 of the last stage ('last') or with the same of every stage."
    )
    orthogonality: float = Field(0.1, ge=0, le=1e6, description="The weight of the penalty on subspaces that overlap.")
    # As for cross-stitch: these are mixtures
    units_decay: float | None = Field(0.0, ge=0, le=1e3, description="The mixtures' weight decay; null is the study's.")


class SluiceUnits(nn.Module):
    """alpha: one (2T, 2T) table a stage; beta: (T, stages)."""

    def __init__(self, alpha: Tensor, beta: Tensor) -> None:
        super().__init__()
        self.alpha = nn.ParameterList(alpha.clone() for _ in range(beta.shape[1]))
        self.beta = nn.Parameter(beta)


class Sluice(SoftSharing):
    """T networks in two halves each, mixed linearly after every stage; heads read a learned mixture of all stages.

    After a stage `G~ = alpha G` over all 2T subspaces, and a head reads a mixture beta of its task's stages (Section 3).
    """

    name = "sluice"
    Options = SluiceOptions
    units: SluiceUnits

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        stages = len(self.channels) - 1
        self.units = SluiceUnits(alpha_table(len(tasks), options.alpha), beta_table(len(tasks), stages, options.beta))
        self.projections = build.module("sluice", self._make_projections)

    def _make_projections(self) -> nn.ModuleDict:
        """For each task and each stage but the last what makes its features comparable with the last stage's."""
        *earlier, last = self.channels[1:]
        return nn.ModuleDict(
            {t.name: nn.ModuleList(projection(c, last, self.build) for c in earlier) for t in self.tasks}
        )

    def mix(self, site: int, features: list[Tensor], rows: Sequence[int]) -> list[Tensor]:
        if site == 0:
            return features
        wanted = [r * SUBSPACES + s for r in rows for s in range(SUBSPACES)]
        return mixed(self.units.alpha[site - 1][wanted], features, SUBSPACES)

    def read(self, trail: Iterator[list[Tensor]], rows: Sequence[int]) -> list[Tensor]:
        columns = zip(*list(trail)[1:], strict=True)  # for each task its mixtures after every stage
        return [self._skip(row, column) for row, column in zip(rows, columns, strict=True)]

    def _skip(self, row: int, stages: Sequence[Tensor]) -> Tensor:
        beta = self.units.beta[row]
        projections: Any = self.projections[self.tasks[row].name]
        total: Tensor = beta[-1] * stages[-1]
        for weight, project, features in zip(beta, projections, stages, strict=False):
            total = torch.add(total, weight * project(resized(features, stages[-1])))
        return total

    def loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        total = super().loss(losses)
        if self.apart or self.options.orthogonality == 0:
            return total
        weight: float = self.options.orthogonality
        return total + weight * self.penalty()

    def penalty(self) -> Tensor:
        """`|| G_1^T G_2 ||_F^2` of each stage's last convolution, summed over stages and tasks (Section 3)."""
        kernels = [last_convolution(stage).weight for network in self.networks for stage in network.stages]
        return torch.stack([overlap(kernel) for kernel in kernels]).sum()

    def log(self) -> Mapping[str, float]:
        own = {
            f"own.{site}": own_share(a.detach(), len(self.tasks)) for site, a in enumerate(self.units.alpha, start=1)
        }
        return {**own, "beta.last": self.units.beta[:, -1].mean().item(), "overlap": self.penalty().item()}

    def artefacts(self) -> Sequence[Artefact]:
        alpha, beta = [a.tolist() for a in self.units.alpha], self.units.beta.tolist()
        return (Artefact("units", {"tasks": [t.name for t in self.tasks], "after_stage": alpha, "beta": beta}),)


def alpha_table(tasks: int, init: str) -> Tensor:
    """The (2T, 2T) start of alpha; its rows sum to 1 in both forms, and imbalanced maps a subspace to the same one."""
    size = tasks * SUBSPACES
    if init == "balanced":
        return torch.full((size, size), 1 / size)
    return torch.kron(mixing(tasks), torch.eye(SUBSPACES))


def beta_table(tasks: int, stages: int, init: str) -> Tensor:
    """The (T, stages) start of beta: rows sum to 1."""
    if init == "uniform" or stages == 1:
        return torch.full((tasks, stages), 1 / stages)
    row = torch.full((stages,), (1 - OWN) / (stages - 1))
    row[-1] = OWN
    return row.repeat(tasks, 1)


def projection(inputs: int, outputs: int, build: Build) -> nn.Module:
    """The identity between equal widths, else a 1x1 convolution that keeps the scale."""
    if inputs == outputs:
        return nn.Identity()
    conv = pointwise(inputs, outputs, build)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="linear")
    return conv


def last_convolution(stage: nn.Module) -> nn.Conv1d | nn.Conv2d:
    """The convolution that ends the residual branch of a stage's last block."""
    block = list(stage.children())[-1]
    convs = [
        m
        for name, m in block.named_modules()
        if isinstance(m, nn.Conv1d | nn.Conv2d) and not name.startswith("projection")
    ]
    return convs[-1]


def overlap(kernel: Tensor) -> Tensor:
    """`|| G_1^T G_2 ||_F^2` of a kernel (C, in, ...): G_s (fan_in, C/2) are the weights that produce subspace s."""
    first, second = kernel.flatten(1).chunk(SUBSPACES)
    return (first @ second.T).square().sum()


def own_share(alpha: Tensor, tasks: int) -> float:
    """The mean over subspaces of what alpha gives to the subspaces of the same task."""
    own = torch.kron(torch.eye(tasks, device=alpha.device), alpha.new_ones(SUBSPACES, SUBSPACES))
    return ((alpha * own).sum() / len(alpha)).item()
