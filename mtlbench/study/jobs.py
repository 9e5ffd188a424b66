"""One run of a study as a job that is pickled, and what it does on a scheduler's warning. This file imports no torch itself:
a job's threads are settled before torch is loaded.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING

from mtlbench.runs.request import Outcome, Request
from mtlbench.study.display import Show
from mtlbench.study.executor import Stage, StageName
from mtlbench.study.settings import Settings
from mtlbench.study.worker import execute_one, settle_threads

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

LOOK = 0.5  # seconds between two looks at what another process does
LEASE = 150.0  # seconds that a file server may keep the lock of a node that died


@dataclass(frozen=True)
class Job:
    """The number-th run of a stage of a study: plain data."""

    settings: Settings
    command: str
    stage: StageName
    number: int
    threads: int

    def __call__(self) -> None:
        """Execute it; on the scheduler's warning write a checkpoint and be queued again."""
        settle_threads(self.threads)
        with interruptible() as warned:
            from mtlbench.study import conduct, study  # torch: the one place where a job loads it

            resolved = study.resolve(self.settings, self.command)
            with suppress(_Over):
                conduct.conduct(resolved, executor=_Only(self, warned))

    def checkpoint(self) -> DelayedSubmission:
        """submitit's protocol: what is queued again. The run itself goes on from its own checkpoint."""
        from submitit.helpers import DelayedSubmission  # an extra, which only a cluster needs

        return DelayedSubmission(replace(self, settings=self.settings.model_copy(update={"force": False})))


class _Over(Exception):
    """A job has done what it was for."""


class _Only:
    """An executor that executes one run of a study and takes all before it from their records."""

    def __init__(self, job: Job, warned: Callable[[], bool]) -> None:
        self.job, self.warned = job, warned

    def run(self, stage: Stage, show: Show) -> list[Outcome]:
        from mtlbench.runs.runner import recorded  # torch, which is loaded by now

        if stage.name != self.job.stage:
            return [recorded(r) for r in stage.requests]
        if self.job.number < len(stage.requests):
            self._execute(replace(stage.requests[self.job.number], threads=self.job.threads))
        raise _Over

    def _execute(self, request: Request) -> None:
        until = time.monotonic() + LEASE
        while time.monotonic() < until:
            if self.warned():
                raise KeyboardInterrupt
            if execute_one(request, lambda progress: None).status != "busy":
                return
            time.sleep(LOOK)


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Turns the warning (SIGUSR2 unless submitit was told another) into a SIGTERM, at which a run writes its checkpoint.

    Only once the run has stopped does submitit hear the warning: it queues the job again. Without this it would stop in
    the middle of a step. Yields whether a warning has come. In a process that submitit did not start nothing changes.
    """
    from submitit.core.job_environment import JobEnvironment  # an extra, which only a cluster needs

    number = getattr(signal, f"SIG{JobEnvironment.USR_SIG}")
    theirs = signal.getsignal(number)
    heard: list[int] = []

    def warned(number: int, frame: FrameType | None) -> None:
        heard.append(number)
        signal.raise_signal(signal.SIGTERM)

    if not callable(theirs):
        yield lambda: False
        return
    signal.signal(number, warned)
    try:
        yield lambda: bool(heard)
    except KeyboardInterrupt:
        if heard:
            theirs(number, None)  # leaves the process
        raise
    finally:
        signal.signal(number, theirs)
