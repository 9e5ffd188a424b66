"""Carry a study out: tune, run, run the controls. It returns what came of it and prints nothing; whoever calls it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtlbench.errors import RecordError
from mtlbench.runs.request import Outcome, Request
from mtlbench.study import tuning
from mtlbench.study.controls import controls, spent
from mtlbench.study.display import Show, Silence
from mtlbench.study.executor import Executor, Stage, StageName
from mtlbench.study.following import in_order
from mtlbench.study.launch import Here
from mtlbench.study.study import ResolvedStudy, runs


@dataclass(frozen=True)
class Conducted:
    """What came of a study: every run as it was asked for, how it ended, and what tuning chose (method -> choice)."""

    requests: tuple[Request, ...]
    outcomes: tuple[Outcome, ...]
    chosen: Mapping[str, tuning.Choice]

    @property
    def failed(self) -> list[tuple[Request, Outcome]]:
        """The runs that failed or diverged, now or before."""
        pairs = zip(self.requests, self.outcomes, strict=True)
        return [(r, o) for r, o in pairs if o.status in ("failed", "diverged")]

    @property
    def busy(self) -> list[tuple[Request, Outcome]]:
        """The runs that another process holds: nothing was done for them here."""
        return [(r, o) for r, o in zip(self.requests, self.outcomes, strict=True) if o.status == "busy"]


def conduct(
    study: ResolvedStudy,
    show: Show = Silence,
    tuned: Callable[[Mapping[str, tuning.Choice]], None] = lambda chosen: None,
    executor: Executor | None = None,
) -> Conducted:
    """Tune where asked for, run everything, and then the controls that its records call for.

    `show` makes what is told of the runs; `tuned` is called with what tuning chose; `executor` None: on this machine.
    Raises RecordError where nothing can be written, and KeyboardInterrupt after every run under way here has written its
    checkpoint.
    """
    writable(study.settings.out)
    where = executor or Here(study)

    def run(name: StageName, some: Sequence[Request], total: int) -> list[Outcome]:
        return where.run(Stage(name, tuple(some), total), show) if some else []

    chosen: Mapping[str, tuning.Choice] = {}
    if study.settings.tune:
        trials = tuning.trials(study)
        chosen = tuning.choose(study, run("trials", trials, len(trials)))
        tuned(chosen)
    requests = runs(study, {name: choice.values for name, choice in chosen.items()})
    names: Iterator[StageName] = iter(("runs", "following"))
    outcomes = in_order(requests, lambda some: run(next(names), some, len(requests)))
    extra = controls(study, requests, [spent(o.folder) for o in outcomes])
    outcomes += run("controls", extra, len(requests))
    return Conducted((*requests, *extra), tuple(outcomes), chosen)


def writable(out: str) -> None:
    """RecordError, before any training, where nothing could be recorded."""
    records = Path(out) / "records"
    try:
        records.mkdir(parents=True, exist_ok=True)
        probe = records / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"cannot write results in '{out}': {error.strerror or error}") from error
