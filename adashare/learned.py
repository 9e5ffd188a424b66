"""The learned policy as a module: logits, what the search looked like, and the policies drawn from it with their scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adashare import policy
from adashare.schedule import SearchSchedule

HISTORY = 128
"""How many rounds of the search are kept."""
ALL_EXECUTE = 3.0
"""Lead of the execute logit where the policy starts at all-execute: alpha = 0.95."""


def initial_logits(init: str, tasks: int, blocks: int) -> Tensor:
    """Logits (T, L, 2): alpha = 0.5, drawn from N(0, 1), or nearly 1."""
    logits = torch.randn(tasks, blocks, 2) if init == "random" else torch.zeros(tasks, blocks, 2)
    if init == "all-execute":
        logits[..., policy.EXECUTE] = ALL_EXECUTE
    return logits


class LearnedPolicy(nn.Module):
    """Logits (T, L, 2), alpha at the start of each round of the search, and N candidates with their scores."""

    history: Tensor
    rounds: Tensor
    candidates: Tensor
    scores: Tensor

    def __init__(self, logits: Tensor, candidates: int) -> None:
        super().__init__()
        shape = logits.shape[:2]
        self.logits = nn.Parameter(logits)
        self.register_buffer("history", torch.zeros(HISTORY, *shape))
        self.register_buffer("rounds", torch.full((HISTORY,), -1))  # the round each line of the history holds
        self.register_buffer("candidates", torch.ones(candidates, *shape, dtype=torch.bool))
        self.register_buffer("scores", torch.full((candidates,), -math.inf))  # -inf: none

    def alpha(self) -> Tensor:
        """P(execute), (T, L), without gradient."""
        return policy.alpha(self.logits.detach())

    def remember(self, round_: int, rounds: int) -> None:
        """Keep alpha at the start of a round; where there are more than HISTORY, the last of every few."""
        line = round_ * HISTORY // max(HISTORY, rounds)
        self.history[line].copy_(self.alpha())
        self.rounds[line].fill_(round_)

    def fill(self, make: Callable[[Tensor], Tensor]) -> None:
        """Make every candidate from the logits."""
        for candidate in self.candidates:
            candidate.copy_(make(self.logits.detach()))

    def score(self, scores: Mapping[int, float]) -> None:
        """Keep the candidates' validation scores."""
        for index, score in scores.items():
            self.scores[index] = -math.inf if math.isnan(score) else score

    def best(self) -> int:
        """The candidate with the best score, the first where none is scored; one that diverged counts last."""
        return int(self.scores.argmax())

    def described_candidates(self, chosen: int) -> list[dict[str, Any]]:
        """Every candidate as JSON, with its score where one was kept, and whether it was chosen."""
        scores = [s if math.isfinite(s) else None for s in self.scores.tolist()]
        return [
            {"policy": candidate.int().tolist(), "score": score, "chosen": index == chosen}
            for index, (candidate, score) in enumerate(zip(self.candidates, scores, strict=True))
        ]

    def described_history(self, schedule: SearchSchedule) -> list[dict[str, Any]]:
        """alpha at the start of the rounds and at the search's end, as JSON."""

        def line(round_: int, step: int, alpha: Tensor) -> dict[str, Any]:
            then = {"temperature": schedule.temperature(round_), "open": schedule.opened(round_)}
            return {"step": step, "alpha": alpha.tolist(), **then}

        kept = [(r, a) for r, a in zip(self.rounds.tolist(), self.history, strict=True) if r >= 0]
        return [
            *(line(r, schedule.step(r), a) for r, a in kept),
            line(schedule.rounds - 1, schedule.warmup + schedule.search, self.alpha()),
        ]
