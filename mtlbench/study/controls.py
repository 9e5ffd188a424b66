"""Hard sharing given every other method's own training, once that has run: a method wins only against these.

Under `--budget final` what comes before a method's final phase is extra. So hard sharing runs once more with each
method's total steps, and once more with its total training FLOPs, for every seed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from mtlbench import records
from mtlbench.errors import RecordError
from mtlbench.runs.request import Request
from mtlbench.study.study import ResolvedStudy


@dataclass(frozen=True)
class Spent:
    """What training took in all its phases; `flops` None: not known before it has run."""

    steps: int
    flops: float | None = None


def spent(folder: Path) -> Spent | None:
    """What a finished run's record says it took; None for any other."""
    try:
        run = records.read_run(folder)
    except RecordError:
        return None
    if run.end is None or run.status != "finished":
        return None
    return Spent(run.end.step, run.end.training_flops)


def controls(study: ResolvedStudy, requests: Sequence[Request], taken: Sequence[Spent | None]) -> list[Request]:
    """The controls that `taken`, what each of the requests took, makes known; none under another budget.

    One that would be the hard-sharing run of the study itself is left out.
    """
    if study.base.get("budget") != "final":
        return []
    shared = {e.name for e in study.entries if e.cls is not None and e.cls.anchor == "shared"}
    pairs = list(zip(requests, taken, strict=True))
    plain = {(r.config.seed, r.point): (r, t) for r, t in reversed(pairs) if r.config.method in shared}
    found: list[Request] = []
    for request, own in pairs:
        base, its = plain.get((request.config.seed, request.point), (None, None))
        if base is not None and its is not None and own is not None and request.config.method not in shared:
            found += _of(request, own, base, its)
    return found


def _of(request: Request, own: Spent, base: Request, its: Spent) -> Iterator[Request]:
    """The controls of one run; `base` is hard sharing's run of the same seed, which took `its`."""
    if own.steps > its.steps:
        yield _control(base, request, "steps", own.steps)
    if own.flops is not None and its.flops:
        steps = max(1, round(own.flops * its.steps / its.flops))
        if steps != its.steps:
            yield _control(base, request, "flops", steps)


def _control(base: Request, of: Request, kind: Literal["steps", "flops"], steps: int) -> Request:
    config = base.config.model_copy(update={"steps": steps, "role": "control"})
    return replace(base, config=config, control_of=of.config.method, control_kind=kind)
