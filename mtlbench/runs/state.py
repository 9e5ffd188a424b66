"""How far the runs of a results folder are, from their records and signs of life. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtlbench import records
from mtlbench.errors import RecordError
from mtlbench.runs import signs


@dataclass(frozen=True)
class State:
    """One run as it stands; `status` is running, finished, diverged, failed, unfinished or damaged."""

    folder: Path
    status: str
    method: str = ""
    dataset: str = ""
    seed: int | None = None
    role: str = ""
    phase: str = ""
    step: int = 0
    steps: int = 0
    rate: float | None = None  # steps a second
    host: str = ""
    reason: str = ""
    score: float | None = None  # of what is deployed, on validation: what selection and tuning go by
    config: Mapping[str, Any] = field(default_factory=dict)
    trial: int | None = None  # its number in a tuning stage

    @property
    def left(self) -> float | None:
        """Seconds to the last step at this speed, of a run under way."""
        return (self.steps - self.step) / self.rate if self.status == "running" and self.rate else None


def states(results: Path) -> Iterator[State]:
    """Every run of a results folder, in the order of their folders' names."""
    for folder in records.record_folders(results):
        yield state(folder)


def state(folder: Path) -> State:
    """One run as it stands."""
    sign = signs.read(folder)
    try:
        run = records.read_attempts(folder)[-1]
    except RecordError as error:
        under_way = sign is not None and not (folder / records.FILE).stat().st_size
        return State(folder, "running" if under_way else "damaged", reason="" if under_way else str(error))
    start, end = run.start, run.end
    final = run.final("val")
    last = max([0, *(log.step for log in run.logs), *(e.step for e in run.evals)])
    steps = sum(int(phase.get("steps", 0)) for phase in start.phases)
    rate = end.step / end.seconds if end is not None and end.seconds else None
    who = (start.method, start.dataset, start.seed, start.role)
    asked: dict[str, Any] = {"config": start.config, "trial": start.trial}
    if sign is not None:
        step, of, rate = sign.step or last, sign.steps or steps, sign.rate or None
        return State(folder, "running", *who, sign.phase, step, of, rate, sign.host, **asked)
    reason = end.reason if end is not None else ""
    score = final.gain if final else None
    return State(folder, run.status, *who, "", end.step if end else last, steps, rate, "", reason, score, **asked)
