"""A study from its settings to its outcome: who executes it is chosen here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mtlbench.study.cluster import After, Cluster, nothing
from mtlbench.study.conduct import Conducted, conduct
from mtlbench.study.display import Show, Silence
from mtlbench.study.executor import Executor
from mtlbench.study.launch import Here
from mtlbench.study.settings import gather
from mtlbench.study.study import ResolvedStudy, resolve
from mtlbench.study.timing import time_networks
from mtlbench.study.tuning import Choice
from mtlbench.training import ranks


def perform(
    study: ResolvedStudy,
    show: Show = Silence,
    tuned: Callable[[Mapping[str, Choice]], None] = lambda chosen: None,
    after: After = nothing,
) -> Conducted:
    """Carry a study out where its settings say, and do `after` once all its runs are over.

    Under a scheduler that queues, `after` is the last job, so that whoever submitted the study may leave: it is a function
    that can be imported by its name.
    """
    executor: Executor = Here(study) if study.parallel is None else Cluster(study, after)
    first = ranks.rank() == 0
    done = conduct(study, show if first else Silence, tuned if first else lambda chosen: None, executor)
    if isinstance(executor, Cluster) and executor.closing:
        executor.close()
    elif first:
        after(study, done)
    return done


def run_study(*, latency: bool = True, **settings: Any) -> Conducted:
    """A study from a notebook: the command's flags as arguments, underscores for dashes (methods="all", seeds="0-2").

    `config` is a YAML file of the same settings; `latency=False` leaves out timing the networks side by side after the
    runs. Nothing is printed and no report is drawn. Raises ConfigError for a wrong name or value. Runs side by side
    (workers above 1) need a main module that can be imported again.
    """
    file = settings.pop("config", None)
    said = ", ".join(f"{k}={v!r}" for k, v in settings.items())
    study = resolve(gather(settings, file), f"run_study({said})")
    return perform(study, after=_timed if latency else nothing)


def _timed(study: ResolvedStudy, done: Conducted) -> None:
    time_networks(study, done)
