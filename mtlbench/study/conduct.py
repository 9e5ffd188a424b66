"""Carry a study out: tune, run, run the controls. It returns what came of it and prints nothing; whoever calls it shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlbench.errors import RecordError
from mtlbench.runs.request import Outcome, Request
from mtlbench.study import tuning
from mtlbench.study.controls import controls, spent
from mtlbench.study.display import Display, Silence
from mtlbench.study.following import in_order
from mtlbench.study.launch import launch, share
from mtlbench.study.settings import gather
from mtlbench.study.study import ResolvedStudy, resolve, runs

Show = Callable[[int], Display]
"""A display for so many runs."""


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
) -> Conducted:
    """Tune where asked for, run everything, and then the controls that its records call for.

    `show` makes what is told of the runs; `tuned` is called with what tuning chose. Raises RecordError where nothing can
    be written, and KeyboardInterrupt after every run under way has written its checkpoint.
    """
    writable(study.settings.out)
    chosen: Mapping[str, tuning.Choice] = {}
    if study.settings.tune:
        trials = tuning.trials(study)
        chosen = tuning.choose(study, _launch(study, trials, show))
        tuned(chosen)
    requests = runs(study, {name: choice.values for name, choice in chosen.items()})
    outcomes = in_order(requests, lambda some: _launch(study, some, show, len(requests)))
    extra = controls(study, requests, [spent(o.folder) for o in outcomes])
    outcomes += _launch(study, extra, show, len(requests))
    return Conducted((*requests, *extra), tuple(outcomes), chosen)


def run_study(**settings: Any) -> Conducted:
    """A study from a notebook: the command's flags as arguments, underscores for dashes (methods="all", seeds="0-2").

    `config` is a YAML file of the same settings. Nothing is printed and no report is drawn. Raises ConfigError for a
    wrong name or value. Runs side by side (workers above 1) need a main module that can be imported again.
    """
    file = settings.pop("config", None)
    return conduct(
        resolve(gather(settings, file), f"run_study({', '.join(f'{k}={v!r}' for k, v in settings.items())})")
    )


def _launch(study: ResolvedStudy, requests: Sequence[Request], show: Show, total: int | None = None) -> list[Outcome]:
    """Execute requests, which are some of the study's `total`."""
    if not requests:
        return []
    settings = study.settings
    workers, threads = share(total or len(requests), study.device, settings.workers, settings.threads)
    return launch(requests, workers, threads, show(len(requests)))


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
