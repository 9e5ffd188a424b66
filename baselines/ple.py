"""PLE: progressive layered extraction (Tang, Liu, Zhao and Gong, RecSys 2020), carried to backbones: CGC at every stage.

A level is a stage; the first takes the stem with it. The experts of a task read the task's features of the level before,
the shared experts a mixture of all experts of the level before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from torch import Tensor, nn

from baselines.cgc import ExpertOptions, Experts
from baselines.experts import Gates, mixture, pooled
from mtlbench.backbones import Backbone, Build
from mtlbench.method import Artefact
from mtlbench.tasks import Task

SHARED = "_shared"
"""The reader that stands for the shared experts of the next level."""


class PLE(Experts):
    """Experts of each task and shared ones, mixed anew after every stage (section 4.2)."""

    name = "ple"

    def __init__(self, options: ExpertOptions, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        self.gates = build.module("gates", self._gates)

    def _gates(self) -> nn.ModuleList:
        """One set a level: over a task's experts and the shared ones, and over all experts for the shared (none at last)."""
        own, shared = self.options.task_experts, self.options.shared_experts
        readers = {t.name: own + shared for t in self.tasks}
        everyone = {SHARED: own * len(self.tasks) + shared} if shared else {}
        sees = (self.channels[0], *self.channels[1:-1])  # of the stem, then of the level before
        last = len(sees) - 1
        return nn.ModuleList(Gates(readers | (everyone if n < last else {}), c) for n, c in enumerate(sees))

    @property
    def levels(self) -> int:
        """How many times experts are mixed: once a stage."""
        return len(self.channels) - 1

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        names = [t.name for t in self.tasks]
        features: dict[str, Tensor] = {}  # of every reader, after the level before
        for level in range(self.levels):
            # The shared experts of the next level read everybody's: without them, and at last, nobody else is needed.
            crossing = self.shared and self.options.task_experts and level < self.levels - 1
            running = names if crossing else list(tasks)
            features = self._level(level, x, features, running)
        return {t: self.heads[t](features[t]) for t in tasks}

    def _level(self, level: int, x: Tensor, before: Mapping[str, Tensor], running: Iterable[str]) -> dict[str, Tensor]:
        seen = self.seen(x) if level == 0 else None
        inputs = {r: x if level == 0 else before[r] for r in (*running, *((SHARED,) if self.shared else ()))}
        shared = [self._run(e, level, inputs[SHARED]) for e in self.shared]
        own = {t: [self._run(e, level, inputs[t]) for e in cast(nn.ModuleList, self.own[t])] for t in running}
        experts = {t: [*own[t], *shared] for t in running}
        if self.shared and level < self.levels - 1:
            experts[SHARED] = [*(e for t in running for e in own[t]), *shared]
        gates = cast(Gates, self.gates[level])
        return {r: mixture(gates(r, pooled(inputs[r]) if seen is None else seen), e) for r, e in experts.items()}

    def _run(self, column: nn.Module, level: int, x: Tensor) -> Tensor:
        backbone = cast(Backbone, column)
        return cast(Tensor, backbone.stages[level](backbone.stem(x) if level == 0 else x))

    def log(self) -> Mapping[str, float]:
        own, gates = self.options.task_experts, cast(Sequence[Gates], self.gates)
        return {
            f"own.{n}.{t.name}": float(g.usage(t.name)[:own].sum()) for n, g in enumerate(gates) for t in self.tasks
        }

    def artefacts(self) -> Sequence[Artefact]:
        return (self.described(list(cast(Sequence[Gates], self.gates))),)
