"""The one training loop: executes a method's phases, the same for all of them, and can go on from any checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
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
from mtlbench.training.optimisers import TurnOptimizer, rates, thaw
from mtlbench.training.outputs import check_outputs
from mtlbench.training.plan import Segment, make_plan
from mtlbench.training.selection import Selected, judge, rules
from mtlbench.training.soundness import Soundness
from mtlbench.training.state import State
from mtlbench.training.weighting import Weighting

RECOUNT = 50  # steps for which a turn's counted FLOPs stand: a curriculum changes them slowly
PENDING = 16  # steps between looks at the losses where the device runs ahead of Python
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
        self._pending: list[tuple[int, dict[str, Tensor]]] = []
        self._tasks = streams_of(dataset)
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
        for index in range(self.state.phase, len(self.phases)):
            self.state.phase = index
            if self.state.entered != index:
                self._enter(self.phases[index])
            for segment in self.plan:
                if segment.phase_index == index and segment.end > self.state.step:
                    self._run_segment(segment)
            self._leave(self.phases[index])
        thaw(self.method)

    # --- phases -------------------------------------------------------------------------------------------------------

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
        self._validations = self._validation_steps()

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
        batches = self._draw(segment, step)
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
        self._pending.append((step, {**raw, "total": loss.detach()}))
        if self.device == "cpu" or len(self._pending) >= PENDING:
            self._look()

    def _draw(self, segment: Segment, step: int) -> dict[str, Batch]:
        draw, seed, part = segment.draw + step - segment.start, self.config.seed, segment.turn.part
        batches = {s: draw_batch(self.dataset, seed, part, s, draw, self.config.batch_size) for s in self._tasks}
        return {s: b.map(lambda x: x.to(self.device, non_blocking=True)) for s, b in batches.items()}

    def _losses(self, batches: Mapping[str, Batch]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        losses: dict[str, Tensor] = {}
        for stream, batch in batches.items():
            self.method.build.stream = stream
            tasks = self._tasks[stream]
            with torch.autocast(self.device.split(":")[0], torch.bfloat16, enabled=self.config.precision == "bf16"):
                predictions = self.method(batch.inputs, tuple(t.name for t in tasks))
            check_outputs(predictions, tasks, len(batch.inputs))
            for task in tasks:
                losses[task.name] = task_loss(task, predictions[task.name], batch.targets[task.name])  # (B,)
        raw = {task: per_image.detach().sum() for task, per_image in losses.items()}
        return self.weighting.weighted(losses), raw

    def _backward(self, loss: Tensor, weighted: Mapping[str, Tensor], optimizer: TurnOptimizer) -> None:
        """Gradients of this turn's parameters; how tasks' gradients meet is the weighting's where heads are trained."""
        if not optimizer.trains_heads:
            loss.backward()
            return
        moving = [p for p in self.method.parameters() if p.requires_grad]
        self.weighting.backward(loss, weighted, moving, type(self.method).loss is not Method.loss)

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
            self.state.counted[kind] = [float(step), float(counter.get_total_flops())]
        self.state.flops += self.state.counted[kind][1]

    def _look(self) -> None:
        """Read the losses of the steps since the last look; one that is not finite ends the run."""
        for step, losses in self._pending:
            values = {name: float(loss) for name, loss in losses.items()}
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            if bad:
                self._pending = []
                names = [n for n in bad if n != "total"] or ["the method (its penalty)"]
                raise Diverged("loss", names, f"at step {step}")
            for name, value in values.items():
                self.state.sums[name] = self.state.sums.get(name, 0.0) + value
            self.state.since += 1
        self._pending = []

    def _check(self, phase: Phase) -> None:
        """End the run where a loss so far, or anything that the network now holds, is not finite."""
        self._look()
        if bad := self._sound.faults():
            raise Diverged("value", bad, f"after step {self.state.step} (phase '{phase.name}')")

    def _log(self, phase: str) -> None:
        self._look()
        losses = {n: s / self.state.since for n, s in self.state.sums.items()}
        self.hooks.log(self.state.step, phase, losses, rates(self._optimizers))
        self.state.sums, self.state.since = {}, 0

    # --- selection ----------------------------------------------------------------------------------------------------

    def _validation_steps(self) -> set[int]:
        """Steps after which the final phases are validated: `evaluations` of them, evenly, and the end of each."""
        segments = [s for s in self.plan if s.phase.final]
        steps = [s for seg in segments for s in range(seg.start + 1, seg.end + 1)]
        count = min(self.config.evaluations, len(steps))
        ends = {seg.phase_index: seg.end for seg in segments}
        return {steps[math.ceil(k * len(steps) / count) - 1] for k in range(1, count + 1)} | set(ends.values())

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
        self._look()
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
