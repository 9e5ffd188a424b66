"""How AdaShare's budget is spent: steps of each phase, the turns of the search, and the schedules over them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from adashare.options import AdaShareOptions
from adashare.policy import open_blocks
from mtlbench.method import Budget

TEMPERATURE_END = 0.5
"""Where a temperature derived from the budget ends, or below."""
DECAY = 0.965
"""The published factor on the temperature after every round; with 66 rounds it ends at 0.5 by itself."""
MAX_ROUNDS, ROUND_STEPS = 66, 5
"""A derived search has at most so many rounds, of at least so many steps."""
LOGITS_FRACTION, LOGITS_STEPS = (0.2, 0.5), 200
"""A fifth of a derived search moves the logits (the published 80/20); up to half where that is fewer steps than these."""
TRAVEL, LR_RANGE = 10.0, (0.01, 0.2)
"""Adam moves a logit by about its rate a step: the derived rate lets it travel so far in the whole search."""


@dataclass(frozen=True)
class SearchSchedule:
    """Steps and schedules of one run; a pure function of options, budget and depth."""

    warmup: int
    search: int
    trial: int  # of each candidate
    final: int
    weights: int  # steps of a weights turn
    logits: int  # steps of a policy turn
    rounds: int
    blocks: int
    start_temperature: float
    decay: float
    speed: float  # rounds until one more block opens; 0: all are open
    logits_lr: float

    def temperature(self, round_: int) -> float:
        """tau in the round_-th round."""
        return self.start_temperature * math.pow(self.decay, round_)

    def opened(self, round_: int) -> int:
        """How many of the last blocks the policy decides in the round_-th round."""
        return open_blocks(round_, self.blocks, self.speed) if self.speed > 0 else self.blocks

    @property
    def opened_at_end(self) -> int:
        """How many blocks the policy decided when its search ended; the earlier ones execute."""
        return self.opened(self.rounds - 1) if self.search else 0

    def step(self, round_: int) -> int:
        """The step at which the round_-th round starts."""
        return self.warmup + min(round_ * (self.weights + self.logits), self.search)


def make_schedule(options: AdaShareOptions, budget: Budget, blocks: int) -> SearchSchedule:
    """The schedule for a budget; whatever is not given by the options is derived from it."""
    warmup = _part(options.warmup, budget)
    weights, logits, rounds, search = _turns(options, budget, _part(options.search, budget))
    rest = budget.steps - warmup - search
    trials = options.drawn if options.drawn > 1 else 0
    spent = rest if options.retrained == "all" else _part(options.trials, budget)
    trial = spent // trials if trials else 0
    return SearchSchedule(
        warmup=warmup,
        search=search,
        trial=trial,
        final=rest - trials * trial,
        weights=weights,
        logits=logits,
        rounds=rounds,
        blocks=blocks,
        start_temperature=options.temperature,
        decay=_decay(options, rounds) if options.decay is None else options.decay,
        speed=_speed(options, rounds, blocks) if options.curriculum else 0.0,
        logits_lr=options.logits_lr or min(max(TRAVEL / max(1, rounds * logits), LR_RANGE[0]), LR_RANGE[1]),
    )


def _part(fraction: float, budget: Budget) -> int:
    """A fraction of the budget in whole steps, rounded down; a fraction such as 20/130 of 130,000 is 20,000."""
    return int(fraction * budget.steps + 1e-6)


def _turns(options: AdaShareOptions, budget: Budget, steps: int) -> tuple[int, int, int, int]:
    """Steps of a weights turn, of a policy turn, the rounds, and the steps of the whole search."""
    if options.turns == "budget":
        rounds = min(MAX_ROUNDS, max(1, steps // ROUND_STEPS))
        length = steps // rounds
        fraction = min(max(LOGITS_FRACTION[0], LOGITS_STEPS / max(1, steps)), LOGITS_FRACTION[1])
        logits = max(1, round(fraction * length))
        weights = length - logits
        return (weights, logits, rounds, rounds * length) if weights > 0 else (1, 1, 1, 0)
    weights, logits = (budget.epoch["train-a"], budget.epoch["train-b"]) if options.turns == "epoch" else options.turns
    return weights, logits, max(1, -(-steps // (weights + logits))), steps


def _decay(options: AdaShareOptions, rounds: int) -> float:
    return min(DECAY, math.pow(TEMPERATURE_END / options.temperature, 1 / max(1, rounds - 1)))


def _speed(options: AdaShareOptions, rounds: int, blocks: int) -> float:
    """Rounds a block; derived so that all blocks are open by half of the rounds."""
    return options.speed or (rounds // 2) / max(1, blocks - 1)
