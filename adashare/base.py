"""What the policy methods have in common: one shared backbone, and a decided policy of which blocks a task runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adashare import policy
from adashare.network import CompactNetwork, Decisions, execute
from mtlbench.backbones import Build
from mtlbench.method import Artefact, Budget, Method, Phase
from mtlbench.tasks import Task


def masked(rows: Mapping[str, Sequence[bool]], device: torch.device) -> Decisions:
    """Decisions that compute a skipped block all the same, and give it the weight 0."""
    zero = torch.zeros((), device=device)
    return {task: [choice or zero for choice in row] for task, row in rows.items()}


class PolicyMethod(Method):
    """One backbone and one head a task, run as the policy `decided` (T, L) says; all-execute to begin with."""

    decided: Tensor

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        self.backbone = build.backbone()
        self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})
        self.register_buffer("decided", torch.ones(len(self.tasks), self.depth, dtype=torch.bool))
        self._read: tuple[Tensor, int, dict[str, tuple[bool, ...]]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_read": None}  # a copied tensor counts its versions anew

    @property
    def depth(self) -> int:
        """L, the number of blocks."""
        return len(self.backbone.blocks)

    def phases(self, budget: Budget) -> tuple[Phase, ...]:
        return (Phase("retrain", budget.steps, final=True),)

    def rows(self, decided: Tensor) -> dict[str, tuple[bool, ...]]:
        """A decided policy (T, L) task by task. Remembered: reading it off an accelerator would stall every step."""
        if self._read is not None and self._read[0] is decided and self._read[1] == decided._version:
            return self._read[2]
        rows = {t.name: tuple(row) for t, row in zip(self.tasks, decided.tolist(), strict=True)}
        if decided is self.decided and not decided.is_inference():  # inference tensors count no versions
            self._read = (decided, decided._version, rows)
        return rows

    def policy_now(self) -> Tensor:
        """The decided policy (T, L) that a network deployed now would have."""
        return self.decided

    def decisions(self) -> Decisions:
        """What every task does at every block in this step."""
        rows = self.rows(self.policy_now())
        return masked(rows, self.decided.device) if self._each_apart() else rows

    def _each_apart(self) -> bool:
        """Whether every task makes its own pass and computes what it skips, as the release trains."""
        return self.training and self.options.bn == "release"

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        wanted = {task: row for task, row in self.decisions().items() if task in tasks}
        features = execute(self.backbone.stem, self.backbone.blocks, x, wanted, share=not self._each_apart())
        return {task: self.heads[task](features[task]) for task in tasks}

    def described(self, alpha: Tensor | None = None, **more: Any) -> Artefact:
        """The policy as the report draws it; `alpha` (T, L) is where it was drawn from, and the policy itself without."""
        probability = self.decided.float() if alpha is None else alpha
        data = {
            "tasks": [t.name for t in self.tasks],
            "alpha": probability.tolist(),
            "decided": self.policy_now().int().tolist(),
            "undecided": policy.undecided(probability),
            "entropy": policy.entropy(probability),
            "history": [],
            "candidates": [],
        }
        return Artefact("policy", data | more)

    def deployed(self) -> CompactNetwork:
        return CompactNetwork(self.backbone.stem, self.backbone.blocks, self.heads, self.rows(self.policy_now()))
