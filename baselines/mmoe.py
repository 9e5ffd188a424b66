"""MMoE: multi-gate mixture of experts (Ma, Zhao, Yi, Chen, Hong and Chi, KDD 2018), and the gate of DSelect-k (Hazimeh et
al., NeurIPS 2021, arXiv 2106.03760). Carried to backbones: an expert is a backbone, or its stages from one on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Annotated, Literal, cast

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from baselines.dselect import Selection
from baselines.experts import Gates, expert, mixture, pooled
from mtlbench.backbones import Build
from mtlbench.errors import ConfigError
from mtlbench.method import Artefact, Budget, Group, Knob, Method, Options, Phase, Turn
from mtlbench.tasks import Task


class MMoEOptions(Options):
    """Experts and gates."""

    experts: int = Field(3, ge=1, le=64, description="How many experts there are.")
    shared: int = Field(
        0,
        ge=0,
        le=64,
        description="How many leading stages (with the stem) all experts share; 0 makes them whole backbones.",
    )
    gate: Literal["softmax", "dselect-k"] = Field(
        "softmax", description="A softmax over all experts for every input, or DSelect-k's choice of k for every task."
    )
    k: int = Field(2, ge=1, le=64, description="How many experts a task selects at most, with the gate 'dselect-k'.")
    gate_lr: Annotated[float | None, Knob(0.3, 30.0)] = Field(
        None,
        gt=0,
        le=1e6,
        description="The gates' learning rate as a multiple of the weights'; null is 1, or 10 for 'dselect-k'.",
    )
    entropy: float = Field(
        0.01, ge=0, le=1e6, description="The weight of the penalty that makes the choices of 'dselect-k' certain."
    )

    @model_validator(mode="after")
    def _powers(self) -> MMoEOptions:
        if self.gate == "dselect-k" and self.experts & (self.experts - 1):
            raise ValueError(
                f"the gate 'dselect-k' counts experts in bits: 2, 4, 8 ... of them, and not {self.experts}"
            )
        return self


class MMoE(Method):
    """Experts that all tasks share; each task reads a mixture of them that its own gate weighs."""

    name = "mmoe"
    Options = MMoEOptions
    options: MMoEOptions

    def __init__(self, options: MMoEOptions, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        columns = [expert(build, e) for e in range(options.experts)]
        first, shared = columns[0], options.shared
        if shared >= len(first.stages):
            raise ConfigError(f"mmoe.shared is {shared}: the backbone has {len(first.stages)} stages (allowed: fewer)")
        self.trunk = nn.Sequential(first.stem, *first.stages[:shared]) if shared else nn.Sequential()
        self.experts = nn.ModuleList(nn.Sequential(*(() if shared else (c.stem,)), *c.stages[shared:]) for c in columns)
        self.heads = nn.ModuleDict({t.name: build.head(t, first.channels[-1]) for t in tasks})
        reads = (
            {}
            if shared or options.experts == 1 or options.gate != "softmax"
            else {"stem": build.backbone("gates").stem}
        )
        self.reads = nn.ModuleDict(reads)  # what the gates see of an input, where no trunk comes before them
        self.gates = build.module("gates", lambda: self._gates(first.channels[shared]))

    def _gates(self, inputs: int) -> nn.Module:
        names = [t.name for t in self.tasks]
        if self.options.gate == "softmax":
            return Gates(dict.fromkeys(names, self.options.experts), inputs)
        return nn.ModuleDict({t: Selection(self.options.experts, self.options.k) for t in names})

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        x = self.trunk(x)
        weights = self._weights(x, tasks)
        features = [e(x) for e in self.experts]
        return {t: self.heads[t](mixture(weights[t], features)) for t in tasks}

    def _weights(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        """What each task gives the experts: (B, E), or (1, E) where it is the same for all inputs."""
        if not isinstance(self.gates, Gates):
            return {t: self._selection(t)()[None] for t in tasks}
        seen = None if self.options.experts == 1 else pooled(self.reads["stem"](x) if "stem" in self.reads else x)
        return {t: self.gates(t, seen) for t in tasks}

    def _selection(self, task: str) -> Selection:
        return cast(Selection, cast(nn.ModuleDict, self.gates)[task])

    def phases(self, budget: Budget) -> tuple[Phase, ...]:
        rate = self.options.gate_lr or (10.0 if self.options.gate == "dselect-k" else 1.0)
        learned = any(True for _ in self.gates.parameters())
        gates = (Group("gates", lr=rate, weight_decay=0.0),) if learned else ()
        return (Phase("train", budget.steps, (Turn((*gates, Group(""))),), final=True),)

    def loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        total = super().loss(losses)
        if isinstance(self.gates, Gates) or self.options.entropy == 0:
            return total
        return total + self.options.entropy * torch.stack([self._selection(t).entropy() for t in losses]).sum()

    def deployed(self) -> nn.Module:
        if isinstance(self.gates, Gates):
            return self
        return Selected(self.trunk, self.experts, self.heads, self.table())

    def table(self) -> dict[str, list[float]]:
        """What each task gives each expert; with a softmax the mean over the last training steps."""
        names = [t.name for t in self.tasks]
        if isinstance(self.gates, Gates):
            return {t: self.gates.usage(t).tolist() for t in names}
        return {t: self._selection(t)().tolist() for t in names}

    def log(self) -> Mapping[str, float]:
        return {f"largest.{t}": max(row) for t, row in self.table().items()}

    def artefacts(self) -> Sequence[Artefact]:
        return (Artefact("gates", {"experts": self.options.experts, "weights": self.table()}),)


class Selected(nn.Module):
    """The experts that some task selects, with the weights each task gives them: what DSelect-k's gates leave."""

    def __init__(
        self, trunk: nn.Module, experts: nn.ModuleList, heads: nn.ModuleDict, table: Mapping[str, Sequence[float]]
    ) -> None:
        super().__init__()
        self.chosen = {t: tuple((e, w) for e, w in enumerate(row) if w) for t, row in table.items()}
        used = {e for own in self.chosen.values() for e, _ in own}
        self.trunk, self.heads = trunk, heads
        self.experts = nn.ModuleDict({str(e): experts[e] for e in sorted(used)})

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        x = self.trunk(x)
        wanted = sorted({e for t in tasks for e, _ in self.chosen[t]})
        features = {e: self.experts[str(e)](x) for e in wanted}
        return {t: self.heads[t](self._mixed(t, features)) for t in tasks}

    def _mixed(self, task: str, features: Mapping[int, Tensor]) -> Tensor:
        own = self.chosen[task]
        parts = [features[e] if w == 1 else w * features[e] for e, w in own]
        return reduce(torch.add, parts)
