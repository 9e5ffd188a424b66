"""Training FLOPs told ahead: one step is taken on a shadow of the method, on the meta device, where only shapes exist.

Counted are what the loop counts too (`FlopCounterMode`: convolutions and matrix products, forward and backward), so a
budget of FLOPs is one in the numbers that records hold.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.utils.flop_counter import FlopCounterMode

from mtlbench.backbones import Build
from mtlbench.data.base import Dataset, draw_batch, streams_of
from mtlbench.method import Budget, Method, Phase, Where
from mtlbench.seeding import derive
from mtlbench.tasks import Task
from mtlbench.training.optimisers import freeze, moving
from mtlbench.training.plan import Segment, check_phases, make_plan

FEW, MANY = 2, 6  # steps of a turn that are counted, and how many where those few differ


def _whole(shadow: Method) -> str:
    shadow.to("meta")
    return "meta"


def _layers(shadow: Method) -> str:
    for module in shadow.modules():
        if isinstance(module, _ConvNd | _BatchNorm | nn.Linear | nn.Embedding):
            module._apply(lambda x: x.to("meta"), recurse=False)  # type: ignore[no-untyped-call]
    return "meta"


def _nothing(shadow: Method) -> str:
    return next((p.device.type for p in shadow.parameters()), "cpu")


SHADOWS = (_whole, _layers, _nothing)
"""What of a method's copy goes to the meta device: all of it; its layers, where it reads a policy of its own; nothing."""


class Plain(Method):
    """One backbone, a head a task: what a budget of FLOPs is measured in."""

    def __init__(self, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(None, build, tasks)
        self.backbone = build.backbone()
        self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        features = self.backbone(x)
        return {t: self.heads[t](features) for t in tasks}


class Estimate:
    """What training a method costs, in FLOPs, with batches of `batch_size` of a data set."""

    def __init__(self, method: Method, dataset: Dataset, batch_size: int, seed: int = 0) -> None:
        self.method, self.dataset, self.size, self.seed = method, dataset, batch_size, seed
        self._shadow = SHADOWS[0]
        self._tasks = {s: tuple(t.name for t in tasks) for s, tasks in streams_of(dataset).items()}
        self._inputs = {s: draw_batch(dataset, seed, "train", s, 0, batch_size).inputs for s in self._tasks}

    def plain(self) -> float:
        """FLOPs of a training step of one plain backbone with all heads."""
        plain = copy.copy(self)
        plain.method = Plain(self.method.build, self.method.tasks)
        return plain.whole((Phase("train", 1, final=True),))

    def whole(self, phases: Sequence[Phase]) -> float:
        """FLOPs of all phases together."""
        return sum(self.phase(phases, index) for index in range(len(phases)))

    def phase(self, phases: Sequence[Phase], index: int) -> float:
        """FLOPs of one of the phases."""
        own = [s for s in make_plan(phases) if s.phase_index == index]
        turns = {s.turn_index for s in own}
        return sum(self._turn([s for s in own if s.turn_index == turn]) for turn in turns)

    def _turn(self, segments: Sequence[Segment]) -> float:
        """FLOPs of all steps of one kind of turn: of a few of them, of more where these differ."""
        steps = segments[0].turn_steps
        for count in (FEW, MANY):
            found = [self.step(*place) for place in _spread(segments, min(count, steps))]
            if len(set(found)) == 1:
                break
        return steps * sum(found) / len(found)

    def step(self, segment: Segment, step: int) -> float:
        """FLOPs of a step, without computing more than a method makes necessary."""
        for shadow in SHADOWS[SHADOWS.index(self._shadow) :]:
            try:
                flops = self._count(segment, step, shadow)
                self._shadow = shadow  # it will do for the next step too
                return flops
            except (RuntimeError, NotImplementedError):
                if shadow is SHADOWS[-1]:
                    raise
        raise AssertionError

    def _count(self, segment: Segment, step: int, make: Callable[[Method], str]) -> float:
        shadow = copy.deepcopy(self.method).train()
        device = make(shadow)
        shadow.where = Where(step, segment.phase.name, segment.round, segment.turn_index)
        freeze(shadow, moving(segment.turn, shadow))
        state = torch.get_rng_state()
        torch.manual_seed(derive("step", self.seed, step))
        try:
            with FlopCounterMode(display=False) as counter:
                self._train(shadow, device)
        finally:
            torch.set_rng_state(state)
        return float(counter.get_total_flops())

    def _train(self, shadow: Method, device: str) -> None:
        """Forward and backward of one step; what the losses are does not change what is counted."""
        losses: dict[str, Tensor] = {}
        for stream, x in self._inputs.items():
            shadow.build.stream = stream
            outputs = shadow(x.to(device), self._tasks[stream])
            losses |= {t: outputs[t].flatten(1).mean(1) / self.size for t in self._tasks[stream]}
        shadow.loss(losses).backward()


def _spread(segments: Sequence[Segment], count: int) -> Iterator[tuple[Segment, int]]:
    """`count` steps of a kind of turn, evenly over all of them: their segments, and their numbers in the run."""
    steps = segments[0].turn_steps
    for k in range(count):
        own = (2 * k + 1) * steps // (2 * count)
        segment = next(s for s in segments if own < s.turn_step + s.steps)
        yield segment, segment.start + own - segment.turn_step


@dataclass
class Account:
    """A budget of training FLOPs, and how a method's steps are counted against it."""

    flops: float
    estimate: Estimate

    @classmethod
    def like_plain(cls, steps: int, estimate: Estimate) -> Account:
        """What a plain backbone with all heads spends in `steps` steps."""
        return cls(steps * estimate.plain(), estimate)

    def phases(self, declare: Callable[[Budget], tuple[Phase, ...]], budget: Budget) -> tuple[Phase, ...]:
        """A method's phases that cost about as much; what is left over, its final phases settle when they begin."""
        phases = check_phases(declare(budget))
        steps = sum(p.steps for p in phases) * self.flops / self.estimate.whole(phases)
        return check_phases(declare(replace(budget, steps=max(1, round(steps)))))

    def settled(self, phases: Sequence[Phase], index: int, spent: float) -> int:
        """The steps of a final phase that begins: its share, by planned steps, of what is left for final phases.

        A step costs what it costs the method as it now is: its policy is decided, say.
        """
        own = phases[index].steps
        share = own / sum(p.steps for p in phases[index:] if p.final)
        return max(1, round(own * share * (self.flops - spent) / self.estimate.phase(phases, index)))
