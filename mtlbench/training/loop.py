"""The one training loop: executes a method's phases, the same for all of them, and can go on from any checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mtlbench.config import RunConfig
from mtlbench.data.base import Batch, Dataset, draw_batch, streams_of
from mtlbench.errors import Diverged, PluginError, unknown
from mtlbench.method import Method, Phase, Where
from mtlbench.seeding import derive, seeded
from mtlbench.tasks.losses import task_loss
from mtlbench.training.compute import Account
from mtlbench.training.feed import Feed, Place
from mtlbench.training.ledger import PENDING, Ledger
from mtlbench.training.optimisers import TurnOptimizer, rates, thaw
from mtlbench.training.outputs import check_outputs
from mtlbench.training.plan import Segment, make_plan, validation_steps
from mtlbench.training.ranks import World
from mtlbench.training.selection import Selected, judge, rules
from mtlbench.training.soundness import Soundness
from mtlbench.training.state import State
from mtlbench.training.synchronised import synchronise
from mtlbench.training.weighting import Weighting

RECOUNT = 50  # steps for which a turn's counted FLOPs stand: a curriculum changes them slowly
LOGS = 100  # log lines a run


@dataclass
class Hooks:
    """What the runner does for the loop: write a log line, evaluate (and return the score), save if it is time."""

    log: Callable[[int, str, Mapping[str, float], Mapping[str, float]], None]  # step, phase, losses, learning rates
    validate: Callable[[int, str, str], float]  # step, phase, purpose
    save: Callable[[], None]


class Trainer:
    """Runs the plan of a method's phases over a data set.

    `initial` builds the method's initial weights again, for phases that start `fresh`.
    """

    def __init__(
        self,
        method: Method,
        weighting: Weighting,
        dataset: Dataset,
        config: RunConfig,
        phases: tuple[Phase, ...],
        initial: Callable[[], Mapping[str, Tensor]],
        device: str,
        hooks: Hooks,
        account: Account | None = None,
        world: World | None = None,
        readers: int = 0,
    ) -> None:
        self.method, self.weighting, self.dataset, self.config = method, weighting, dataset, config
        self.phases, self.hooks, self.device, self.account = phases, hooks, device, account
        self.state = State()
        self.rules = rules(config)
        self.chosen: dict[str, Selected] = {}
        self._initial = initial
        self._initial_weighting = {k: v.clone() for k, v in weighting.state_dict().items()}
        self._sound = Soundness({"": method, "weighting.": weighting})
        self._optimizers: list[TurnOptimizer] = []
        self._ledger = Ledger(1 if device == "cpu" else PENDING)
        self._tasks = streams_of(dataset)
        self.world = world or World()
        self._feed = Feed(self._draw, self._to_come, readers)
        weighting.over_ranks = self.world.means
        if not config.local_norm:
            synchronise(method, self.world)
        self._log_every = max(1, self.steps // LOGS)
        self._plan()

    @property
    def steps(self) -> int:
        """The steps of all phases."""
        return sum(p.steps for p in self.phases)

    @property
    def selected(self) -> Selected | None:
        """What the run's own rule chose."""
        return self.chosen.get(self.rules[0])

    def run(self) -> None:
        """Train from wherever the state stands to the end of the last phase."""
        self.method.train()
        try:
            for index in range(self.state.phase, len(self.phases)):
                self._run_phase(index)
        finally:
            self._feed.close()
        thaw(self.method)

    # --- phases -------------------------------------------------------------------------------------------------------

    def _run_phase(self, index: int) -> None:
        self.state.phase = index
        if self.state.entered != index:
            self._enter(self.phases[index])
        for segment in self.plan:
            if segment.phase_index == index and segment.end > self.state.step:
                self._run_segment(segment)
        self._leave(self.phases[index])

    def _enter(self, phase: Phase) -> None:
        self.method.where = Where(self.state.step, phase.name)
        if phase.fresh:
            self._reset(phase)
        self.weighting.restart()
        self._make_optimizers(phase)
        with seeded("start", self.config.seed, phase.name):
            self.method.start(phase, dict(self.state.scores))
        self.state.entered = self.state.phase
        self.state.counted = {}
        if self.account is not None and phase.final and phase.steps:
            left = self.account.settled(self.phases, self.state.phase, self.state.flops)
            self.state.settled[phase.name] = left
            self._plan()

    def _plan(self) -> None:
        """Lay out the phases, those of a budget of FLOPs with the steps that were settled when they began."""
        self.phases = tuple(replace(p, steps=self.state.settled.get(p.name, p.steps)) for p in self.phases)
        self.plan = make_plan(self.phases)
        self._validations = validation_steps(self.plan, self.config.evaluations)

    def _reset(self, phase: Phase) -> None:
        """Give the phase's `fresh` prefixes their initial values again, and the task weights theirs."""
        now, initial = self.method.state_dict(), self._initial()
        for prefix in phase.fresh:
            names = [n for n in now if not prefix or n == prefix or n.startswith(prefix + ".")]
            if not names:
                tops = {n.split(".")[0] for n in now}
                raise PluginError(str(unknown(f"fresh prefix of phase '{phase.name}'", prefix, tops)))
            for name in names:
                now[name].copy_(initial[name])
        self.weighting.load_state_dict(self._initial_weighting)

    def _make_optimizers(self, phase: Phase) -> None:
        self._optimizers = [TurnOptimizer(t, self.method, self.weighting, self.config) for t in phase.turns]

    def _leave(self, phase: Phase) -> None:
        self._check(phase)
        if phase.scored:
            self.state.scores[phase.name] = self._measure(phase, "phase")[judge(self.rules[0])]
        if phase.final and phase.steps and "last" in self.rules:
            self._select("last")
        self.state.phase += 1
        self.hooks.save()

    # --- steps --------------------------------------------------------------------------------------------------------

    def _run_segment(self, segment: Segment) -> None:
        optimizer = self._optimizers[segment.turn_index]
        optimizer.freeze_others(self.method, self.weighting)
        for step in range(max(segment.start, self.state.step), segment.end):
            begun, working = time.perf_counter(), time.process_time()
            known = sum(self.state.timing.values())
            self._step(segment, optimizer, step)
            self.state.step = step + 1
            if (step + 1) % self._log_every == 0:
                self._log(segment.phase.name)
            spent = time.perf_counter() - begun - (sum(self.state.timing.values()) - known)
            self.state.timing["other"] += spent
            self.state.processor += time.process_time() - working
            if step + 1 in self._validations:
                self._validate(segment.phase)
            self.hooks.save()

    def _step(self, segment: Segment, optimizer: TurnOptimizer, step: int) -> None:
        timing, clock = self.state.timing, time.perf_counter
        start = clock()
        batches = self._batches(segment, step)
        drawn = clock()
        self.method.where = Where(step, segment.phase.name, segment.round, segment.turn_index)
        torch.manual_seed(derive("step", self.config.seed, step))
        optimizer.set_rate(segment, step)
        due = self._count_due(segment, step)
        with FlopCounterMode(display=False) if due else nullcontext() as counter:
            weighted, raw = self._losses(batches)
            loss = self.method.loss(weighted)
            forward = clock()
            self._backward(loss, weighted, optimizer)
        backward = clock()
        optimizer.torch.step()
        optimizer.torch.zero_grad(set_to_none=True)
        if optimizer.trains_heads:  # after the backward pass: it still needs the weights that were used
            self.weighting.observe(raw, self._epoch(segment))
        self._account(segment, step, counter)
        for name, end, begin in (("data", drawn, start), ("forward", forward, drawn), ("backward", backward, forward)):
            timing[name] += end - begin
        timing["optimizer"] += clock() - backward
        self._ledger.add(self.state, step, {**raw, "total": loss.detach()})

    def _batches(self, segment: Segment, step: int) -> dict[str, Batch]:
        drawn = self._feed(step, (segment.turn.part, segment.draw + step - segment.start))
        return {s: b.map(lambda x: x.to(self.device, non_blocking=True)) for s, b in drawn.items()}

    def _draw(self, place: Place) -> dict[str, Batch]:
        """This rank's slice of each stream's batch: a pure function of the seed and the place."""
        (part, draw), seed, size = place, self.config.seed, self.config.batch_size
        return {s: self.world.slice(draw_batch(self.dataset, seed, part, s, draw, size)) for s in self._tasks}

    def _to_come(self, step: int) -> Iterator[Place]:
        """The places of this step's batches and of all that follow, as the plan now stands."""
        for segment in self.plan:
            for ahead in range(max(segment.start, step), segment.end):
                yield segment.turn.part, segment.draw + ahead - segment.start

    def _losses(self, batches: Mapping[str, Batch]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        losses: dict[str, Tensor] = {}
        for stream, batch in batches.items():
            self.method.build.stream = stream
            tasks = self._tasks[stream]
            with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.config.precision == "bf16"):
                predictions = self.method(batch.inputs, tuple(t.name for t in tasks))
            check_outputs(predictions, tasks, len(batch.inputs))
            own = [task_loss(t, predictions[t.name], batch.targets[t.name], self.world.total) for t in tasks]
            whole = self.world.whole(own, self.config.batch_size)  # (B,) each
            losses |= {t.name: loss for t, loss in zip(tasks, whole, strict=True)}
        raw = {task: per_image.detach().sum() for task, per_image in losses.items()}
        return self.weighting.weighted(losses), raw

    def _backward(self, loss: Tensor, weighted: Mapping[str, Tensor], optimizer: TurnOptimizer) -> None:
        """Gradients of this turn's parameters; how tasks' gradients meet is the weighting's where heads are trained."""
        moving = [p for p in self.method.parameters() if p.requires_grad]
        if optimizer.trains_heads:
            self.weighting.backward(loss, weighted, moving, type(self.method).loss is not Method.loss)
        else:
            loss.backward()
        self.world.reduce([*moving, *self.weighting.parameters()])

    def _epoch(self, segment: Segment) -> int:
        counts = [len(self.dataset.indices(segment.turn.part, stream)) for stream in self._tasks]
        return max(1, -(-max(counts) // self.config.batch_size))

    # --- accounts -----------------------------------------------------------------------------------------------------

    def _count_due(self, segment: Segment, step: int) -> bool:
        counted = self.state.counted.get(str(segment.turn_index))
        return counted is None or step - counted[0] >= RECOUNT

    def _account(self, segment: Segment, step: int, counter: FlopCounterMode | None) -> None:
        kind = str(segment.turn_index)
        if counter is not None:
            flops = self.world.total(torch.tensor(float(counter.get_total_flops()), dtype=torch.float64))
            self.state.counted[kind] = [float(step), float(flops)]
        self.state.flops += self.state.counted[kind][1]

    def _check(self, phase: Phase) -> None:
        """End the run where a loss so far, or anything that the network now holds, is not finite."""
        self._ledger.look(self.state)
        if bad := self._sound.faults():
            raise Diverged("value", bad, f"after step {self.state.step} (phase '{phase.name}')")

    def _log(self, phase: str) -> None:
        self.hooks.log(self.state.step, phase, self._ledger.means(self.state), rates(self._optimizers))

    # --- selection ----------------------------------------------------------------------------------------------------

    def _measure(self, phase: Phase, purpose: str) -> Mapping[str, float]:
        """The score on validation, and on test where a rule chooses by it; looked at once a step."""
        if self.state.measured_at != self.state.step:
            self._check(phase)
            step, name = self.state.step, phase.name
            asked = {judge(rule): "oracle" if judge(rule) == "test" else purpose for rule in self.rules}
            self.state.measured = {split: self.hooks.validate(step, name, why) for split, why in asked.items()}
            self.state.measured_at = step
        return self.state.measured

    def _validate(self, phase: Phase) -> None:
        scores = self._measure(phase, "curve")
        for rule in self.rules:
            score = scores[judge(rule)]
            best = self.state.best.get(rule, math.nan)  # NaN: no task had a score yet, so the latest is as good as any
            if rule != "last" and (math.isnan(best) or score > best):
                self.state.best[rule] = score
                self._select(rule)

    def _select(self, rule: str) -> None:
        self.chosen[rule] = Selected(self.method.where, {k: v.clone() for k, v in self.method.state_dict().items()})

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def checkpoint(self) -> dict[str, Any]:
        """The trainer as tensors and plain values."""
        self._ledger.look(self.state)
        return {
            "state": asdict(self.state),
            "where": asdict(self.method.where),
            "method": self.method.state_dict(),
            "weighting": self.weighting.state_dict(),
            "optimizers": [o.torch.state_dict() for o in self._optimizers],
            "chosen": {rule: {"where": asdict(c.where), "weights": c.weights} for rule, c in self.chosen.items()},
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Go back to a checkpoint."""
        self.state = State(**data["state"])
        self._plan()
        self.method.where = Where(**data["where"])
        self.method.load_state_dict(data["method"])
        self.weighting.load_state_dict(data["weighting"])
        if self.state.entered >= 0:
            self._make_optimizers(self.phases[self.state.entered])
            for optimizer, state in zip(self._optimizers, data["optimizers"], strict=True):
                optimizer.torch.load_state_dict(state)
        self.chosen = {rule: Selected(Where(**c["where"]), c["weights"]) for rule, c in data["chosen"].items()}
