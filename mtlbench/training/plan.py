"""From phases to a plan: which turn every step belongs to, and which draw and optimiser step it is. Pure arithmetic.

Everything a resumed run must know about its place is a function of the phases and the number of steps taken.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mtlbench.config import parse_schedule
from mtlbench.errors import PluginError
from mtlbench.method import Budget, Method, Phase, Turn

FINE = 1000
"""So many times its own steps is the budget by which a method's proportions are read."""


@dataclass(frozen=True)
class Segment:
    """Consecutive steps of one turn in one round of a phase."""

    phase: Phase
    phase_index: int
    round: int
    turn: Turn
    turn_index: int
    start: int  # steps taken in all before it
    steps: int
    draw: int  # steps already taken from its part of the data
    turn_step: int  # steps already taken in turns of this kind, in this phase
    turn_steps: int  # steps of this kind in the whole phase

    @property
    def end(self) -> int:
        """Steps taken in all after it."""
        return self.start + self.steps


def make_plan(phases: Sequence[Phase]) -> list[Segment]:
    """The segments of all phases in order; a phase of zero steps has none."""
    plan: list[Segment] = []
    step, draws = 0, dict[str, int]()
    for index, phase in enumerate(phases):
        if phase.fresh:
            draws = {}
        segments: list[Segment] = []
        done, kinds, number = 0, [0] * len(phase.turns), 0
        while done < phase.steps:
            which, turn = number % len(phase.turns), phase.turns[number % len(phase.turns)]
            steps = min(turn.steps or phase.steps, phase.steps - done)
            draw = draws.get(turn.part, 0)
            round_ = number // len(phase.turns)
            segments.append(Segment(phase, index, round_, turn, which, step, steps, draw, kinds[which], 0))
            draws[turn.part] = draw + steps
            kinds[which] += steps
            step, done, number = step + steps, done + steps, number + 1
        plan += [replace(s, turn_steps=kinds[s.turn_index]) for s in segments]
    return plan


def validation_steps(plan: Sequence[Segment], evaluations: int) -> set[int]:
    """Steps after which the final phases are validated: `evaluations` of them, evenly, and the end of each."""
    segments = [s for s in plan if s.phase.final]
    steps = [s for seg in segments for s in range(seg.start + 1, seg.end + 1)]
    count = min(evaluations, len(steps))
    ends = {seg.phase_index: seg.end for seg in segments}
    return {steps[math.ceil(k * len(steps) / count) - 1] for k in range(1, count + 1)} | set(ends.values())


def declaring(method: Method) -> Callable[[Budget], tuple[Phase, ...]]:
    """`method.phases`, and `method.budget` set to what it is asked for: the budget asked for last is the one that runs."""

    def declare(budget: Budget) -> tuple[Phase, ...]:
        method.budget = budget
        return method.phases(budget)

    return declare


def resolve_phases(declare: Callable[[Budget], tuple[Phase, ...]], budget: Budget, final: bool) -> tuple[Phase, ...]:
    """A method's phases under the study's budget, checked.

    With `final`, the phases that may be deployed take `budget.steps` together, and those before them grow in the same
    proportion; otherwise all phases together take at most `budget.steps`.
    """
    phases = check_phases(declare(budget))
    if final:
        # The proportion is read off a budget so long that rounding is nothing: 30,000 of a published 130,000 are meant.
        long = check_phases(declare(replace(budget, steps=FINE * budget.steps)))
        own = sum(p.steps for p in long if p.final)
        total = round(budget.steps * sum(p.steps for p in long) / own)
        phases = _exactly(check_phases(declare(replace(budget, steps=total))), budget.steps)
    elif sum(p.steps for p in phases) > budget.steps:
        raise PluginError(f"phases take {sum(p.steps for p in phases)} steps, the budget is {budget.steps}")
    return phases


def _exactly(phases: tuple[Phase, ...], steps: int) -> tuple[Phase, ...]:
    """Rounding may leave the final phases a few steps off: the last of them takes up the difference."""
    last = max(i for i, p in enumerate(phases) if p.final)
    off = steps - sum(p.steps for p in phases if p.final)
    return tuple(replace(p, steps=p.steps + off) if i == last else p for i, p in enumerate(phases))


def check_phases(phases: Sequence[Phase]) -> tuple[Phase, ...]:
    """The phases, or a PluginError that says what about them cannot be executed."""
    names = [p.name for p in phases]
    if len(set(names)) < len(names):
        raise PluginError(f"phases share a name: {', '.join(names)}")
    if not any(p.final and p.steps > 0 for p in phases):
        raise PluginError("no final phase with a step: nothing could be deployed (set final=True on the last phase)")
    for phase in phases:
        if phase.steps < 0 or not phase.turns or any(t.steps is not None and t.steps < 1 for t in phase.turns):
            raise PluginError(f"phase '{phase.name}' has negative steps, no turn, or a turn without a step")
    return tuple(phases)


def rate_factor(schedule: str, step: int, steps: int, warmup: float = 0.0) -> float:
    """The learning rate's factor at `step` of `steps`: "constant", "linear", "cosine", or "step:EVERY:FACTOR".

    EVERY is a share of the steps where it is below 1, a number of steps otherwise. The first `warmup` share rises
    linearly to 1.
    """
    kind, every, drop = parse_schedule(schedule)
    rise = warmup * steps
    if step < rise:
        return (step + 1) / (math.floor(rise) + 1)
    share = min(1.0, (step - rise) / max(steps - rise, 1))
    if kind == "constant":
        return 1.0
    if kind == "linear":
        return 1.0 - share
    if kind == "cosine":
        return 0.5 * (1.0 + math.cos(math.pi * share))
    return drop ** int(step // (every * steps if every < 1 else every))
