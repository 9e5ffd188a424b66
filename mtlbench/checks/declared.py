"""Checks of what a method declares: its phases, and what it writes into the record."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from mtlbench.checks.subject import PARTS, Subject
from mtlbench.checks.tiny import Tiny
from mtlbench.errors import MtlbenchError, unknown
from mtlbench.method import Artefact, Method, Phase
from mtlbench.records import finite
from mtlbench.training.optimisers import match_groups
from mtlbench.training.plan import make_plan, rate_factor

BUDGETS = (1, 2, 7, 100)


def phases(subject: Subject) -> Iterator[str]:
    """Its phases keep within every budget, have names of their own and a final one, and move what there is."""
    method, data = subject.build(), Tiny()
    declared: dict[int, tuple[Phase, ...]] = {}
    for budget in BUDGETS:
        for final in (False, True):
            kind = f"budget of {budget} steps{' for the final phase' if final else ''}"
            try:
                found = subject.phases(method, data, budget, final)
                yield from (f"{fault} ({kind})" for fault in faults(method, found))
            except MtlbenchError as error:
                yield f"{error} ({kind})"
                continue
            if not final:
                declared[budget] = found
            elif sum(p.steps for p in found if p.final) != budget:
                yield f"the final phases do not take {budget} steps ({kind})"
    for budget, before in declared.items():
        if subject.phases(method, data, budget) != before:
            yield f"phases differ when they are asked for again (budget of {budget} steps)"


def faults(method: Method, found: tuple[Phase, ...]) -> Iterator[str]:
    """What about phases could not be executed."""
    names, states = [n for n, _ in method.named_parameters()], list(method.state_dict())
    for phase in found:
        for turn in phase.turns:
            match_groups(turn.groups, names)
            if turn.part not in PARTS:
                raise unknown("part of the data", turn.part, PARTS)
            if turn.optimizer.schedule is not None:
                rate_factor(turn.optimizer.schedule, 0, max(1, phase.steps))
        for prefix in phase.fresh:
            if prefix and not any(n == prefix or n.startswith(prefix + ".") for n in states):
                raise unknown(f"fresh prefix of phase '{phase.name}'", prefix, {n.split(".")[0] for n in states})
    if sum(s.steps for s in make_plan(found)) != sum(p.steps for p in found):
        yield "the turns do not fill the phases"


def records(subject: Subject) -> Iterator[str]:
    """log() gives numbers and artefacts() JSON, at every log line and at the end."""
    run = subject.trained
    if run.log_error is not None:
        raise run.log_error
    for step, line in enumerate(run.logged):
        for name, value in line.items():
            if not isinstance(name, str) or isinstance(value, bool) or not isinstance(value, int | float):
                yield f"log()'s {name!r} is {type(value).__name__} at step {step} (a name and a plain number are expected)"
                return
            if not math.isfinite(value):
                yield f"log()'s '{name}' is {value} at step {step}"
                return
    found = run.trained.artefacts()
    names = [a.name for a in found]
    for name in {n for n in names if names.count(n) > 1}:
        yield f"two artefacts are called '{name}'"
    yield from (fault for artefact in found for fault in unreadable(artefact))


def unreadable(artefact: Artefact) -> Iterator[str]:
    """What keeps an artefact out of a JSON file."""
    if "/" in artefact.name or not artefact.name:
        yield f"an artefact is called '{artefact.name}' (a file's name is expected)"
    try:
        json.dumps(finite(artefact.data))
    except (TypeError, ValueError) as error:
        yield f"artefact '{artefact.name}' is no JSON: {error}"
