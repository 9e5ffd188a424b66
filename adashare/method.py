"""AdaShare (Sun et al., NeurIPS 2020, arXiv 1911.12423): learn which blocks of one backbone each task executes.

Three phases: warm-up by hard sharing; search, where turns of weights and turns of policy logits alternate; retraining
of the decided policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from adashare import policy
from adashare.base import PolicyMethod
from adashare.learned import LearnedPolicy, initial_logits
from adashare.network import Decisions
from adashare.options import AdaShareOptions
from adashare.presets import published
from adashare.schedule import SearchSchedule, make_schedule
from mtlbench.backbones import Build
from mtlbench.method import Artefact, Budget, Group, Optimizer, Phase, Turn
from mtlbench.seeding import generator
from mtlbench.tasks import Task

WEIGHTS = ("backbone", "heads")
STUDYS = Optimizer()
WARMUP, SEARCH, RETRAIN, CANDIDATE = "warm-up", "policy", "retrain", "candidate-"


class AdaShare(PolicyMethod):
    """One backbone; a learned policy says which of its residual blocks each task executes."""

    name = "adashare"
    Options = AdaShareOptions
    options: AdaShareOptions

    def __init__(self, options: AdaShareOptions, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        shape = (len(self.tasks), self.depth)
        self.policy = build.module("policy", lambda: LearnedPolicy(initial_logits(options.init, *shape), options.drawn))
        if options.policy is not None:
            self.decided.copy_(policy.parse_policy(options.policy, *shape))

    @classmethod
    def defaults(cls, preset: str, dataset: str, tasks: Sequence[str]) -> Mapping[str, Any]:
        return published(dataset, tasks) if preset == "paper" else {}

    # ------------------------------------------------------------------ phases

    def phases(self, budget: Budget) -> tuple[Phase, ...]:
        if self.options.policy is not None:
            return (self._retraining(RETRAIN, budget.steps, final=True),)
        schedule = make_schedule(self.options, budget, self.depth)
        # The search holds train-b back from the weights, so the warm-up does too.
        warmup = Phase(WARMUP, schedule.warmup, (self._weights("train-a"),))
        weights, logits = self._weights("train-a", schedule.weights, self._in_search()), self._logits(schedule)
        search = Phase(SEARCH, schedule.search, (weights, logits))
        return (warmup, search, *self._after_search(schedule))

    def _after_search(self, schedule: SearchSchedule) -> tuple[Phase, ...]:
        """The candidates' trials and the retraining of the best, or the retraining of each of them."""
        names = [
            f"{CANDIDATE}{i}" for i in range(self.options.drawn if self.options.drawn > 1 and schedule.trial else 0)
        ]
        if names and self.options.retrained == "all":
            steps = [schedule.trial] * (len(names) - 1) + [schedule.trial + schedule.final]
            return tuple(self._retraining(*each, scored=True, final=True) for each in zip(names, steps, strict=True))
        trials = tuple(self._retraining(name, schedule.trial, scored=True) for name in names)
        return (*trials, self._retraining(RETRAIN, schedule.final, final=True))

    def _retraining(self, name: str, steps: int, scored: bool = False, final: bool = False) -> Phase:
        fresh = WEIGHTS if self.options.retrain == "fresh" else ()
        return Phase(name, steps, (self._weights("train"),), fresh, scored, final)

    def _weights(self, part: Any, steps: int | None = None, optimizer: Optimizer = STUDYS) -> Turn:
        return Turn((Group("backbone"), Group("heads")), part, steps, optimizer)

    def _logits(self, schedule: SearchSchedule) -> Turn:
        decay = self.options.logits_weight_decay
        if decay is None:
            decay = 5e-4 if self.options.objective == "release" else 0.0
        adam = Optimizer("adam", lr=schedule.logits_lr, schedule="constant", weight_decay=decay)
        return Turn((Group("policy"),), "train-b", schedule.logits, adam)

    def _in_search(self) -> Optimizer:
        """The weights' optimiser while the policy is learned; rates and weight decay stay the study's."""
        own = self.options.search_optimizer
        return Optimizer(own, schedule="constant") if own else STUDYS

    def start(self, phase: Phase, scores: Mapping[str, float]) -> None:
        if self.options.policy is not None or phase.name in (WARMUP, SEARCH):
            return
        if not scores:  # the first phase after the search
            self.policy.fill(self._choose)
        if self.options.retrained == "best":  # else the record's evaluations hold them, and the run's rule chooses
            self.policy.score({int(name.removeprefix(CANDIDATE)): score for name, score in scores.items()})
        chosen = self.policy.best() if phase.name == RETRAIN else int(phase.name.removeprefix(CANDIDATE))
        self.decided.copy_(self.policy.candidates[chosen])

    def _choose(self, logits: Tensor) -> Tensor:
        opened = self.schedule.opened_at_end
        return policy.decide(logits, opened) if self.options.select == "most-likely" else policy.draw(logits, opened)

    # --------------------------------------------------------------- execution

    def _each_apart(self) -> bool:
        return super()._each_apart() and self.where.phase != WARMUP

    def _searching(self) -> bool:
        return self.where.phase == SEARCH and self.options.policy is None

    def policy_now(self) -> Tensor:
        """The decided policy; during the search the most likely one of the blocks opened so far."""
        if not self._searching():
            return self.decided
        return policy.decide(self.policy.logits.detach(), self._opened())

    def _opened(self) -> int:
        return self.schedule.opened(self.where.round)

    @property
    def schedule(self) -> SearchSchedule:
        """How the running budget is spent."""
        return make_schedule(self.options, self.budget, self.depth)

    def decisions(self) -> Decisions:
        if not (self._searching() and self.training):
            return super().decisions()
        v = self._sampled(self.schedule.temperature(self.where.round))
        closed: tuple[bool, ...] = (True,) * (self.depth - self._opened())
        return {t.name: (*closed, *row.unbind()[len(closed) :]) for t, row in zip(self.tasks, v.unbind(), strict=True)}

    def _sampled(self, temperature: float) -> Tensor:
        """v (T, L) of this step: one draw a step for all tasks, the same in each of the step's forward passes."""
        logits = self.policy.logits
        noise = policy.gumbel(logits.shape, generator("gumbel", self.build.seed, self.where.step)).to(logits)
        return policy.relaxed(logits, noise, temperature, hard=self.options.sampling == "hard")

    def loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Task losses, and in the search lambda_sp L_sparsity + lambda_sh L_sharing (equation 5)."""
        total: Tensor = super().loss(losses)
        if not self._searching():
            return total
        if self.where.turn == 0:  # the logits rest: this is where the round starts
            self.policy.remember(self.where.round, self.schedule.rounds)
        logits, objective, opened = self.policy.logits, self.options.objective, self._opened()
        total = total + self.options.lambda_sparsity * policy.sparsity(logits, objective, opened)
        return total + self.options.lambda_sharing * policy.sharing(logits, objective, opened)

    # ----------------------------------------------------------------- records

    def log(self) -> Mapping[str, float]:
        if self.options.policy is not None:
            return {}
        alpha = self.policy.alpha()
        values = {"alpha": float(alpha.mean()), "entropy": policy.entropy(alpha)}
        if self._searching():
            values |= {"temperature": self.schedule.temperature(self.where.round), "open": float(self._opened())}
        return values

    def artefacts(self) -> Sequence[Artefact]:
        if self.options.policy is not None or not self.budget.steps:
            return (self.described(),)
        final = self.where.phase.startswith(CANDIDATE)  # one of them is what is deployed
        chosen = int(self.where.phase.removeprefix(CANDIDATE)) if final else self.policy.best()
        history, candidates = self.policy.described_history(self.schedule), self.policy.described_candidates(chosen)
        return (self.described(self.policy.alpha(), history=history, candidates=candidates),)
