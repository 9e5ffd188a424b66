"""A study as a cluster's jobs, handed over by submitit: an executor beside `Here`, for slurm, and to try it out for local
processes (local) and this one (debug).

A job (`jobs.Job`) carries out the study as anybody would, but takes every other run from its record. So a run may wait for
trials, for the method it follows, or for what another took, and nobody has to be there to tell it. Under Slurm all stages
are submitted at once as arrays that depend on each other, the last job closes the study, and the submitter may leave: the
same command follows the jobs again.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from mtlbench import records
from mtlbench.errors import MtlbenchError, one_line
from mtlbench.runs import runner, signs
from mtlbench.runs.request import Outcome, Progress, Request
from mtlbench.study.conduct import Conducted, conduct
from mtlbench.study.display import Display, Show
from mtlbench.study.executor import Stage, StageName
from mtlbench.study.following import follows
from mtlbench.study.jobs import LOOK, Job
from mtlbench.study.launch import abandon, cores
from mtlbench.study.settings import Settings
from mtlbench.study.slurm import Queue, read_submitted, write_submitted
from mtlbench.study.study import ResolvedStudy, resolve, runs
from mtlbench.study.tuning import trials

FOLDER = "jobs"  # in the results folder: submitit's files
TOGETHER = 1000  # jobs of an array: Slurm's own limit unless somebody raised it
STAGES: tuple[StageName, ...] = ("trials", "runs", "following", "controls")
CLOSING = "closing"

After = Callable[[ResolvedStudy, Conducted], None]
"""What is done with a study once all its runs are over."""


def nothing(study: ResolvedStudy, done: Conducted) -> None:
    """No more is done."""


@dataclass(frozen=True)
class Closing:
    """The last job of a study: ends the records of runs that were lost, and does what is done after all runs."""

    settings: Settings
    command: str
    after: After

    def __call__(self) -> None:
        study = resolve(self.settings.model_copy(update={"force": False}), self.command)
        self.after(study, conduct(study, executor=Cluster(study, submits=False)))


class Started(Protocol):
    """A job that was handed over."""

    def alive(self) -> bool:
        """Whether it still waits or runs."""

    def end(self) -> str:
        """Of one that is gone: why its run may not be at its end."""


@dataclass(frozen=True)
class InQueue:
    """A job of Slurm's."""

    job: str
    queue: Queue

    def alive(self) -> bool:
        return self.queue.holds(self.job)

    def end(self) -> str:
        return self.queue.reason(self.job)


@dataclass(frozen=True)
class InProcess:
    """A job of submitit's local and debug backends."""

    job: Any

    def alive(self) -> bool:
        return not self.job.done()

    def end(self) -> str:
        error = self.job.exception()
        return f"its job {self.job.job_id} ended without it: {error and one_line(error)[-300:]}"


class Cluster:
    """The executor of `--parallel`. One that does not submit follows what was submitted, and ends what was lost."""

    def __init__(self, study: ResolvedStudy, after: After = nothing, submits: bool = True) -> None:
        assert study.parallel is not None
        self.study, self.parallel, self.after, self.submits = study, study.parallel, after, submits
        self.folder = Path(study.settings.out).absolute() / FOLDER
        self.threads = study.settings.threads or self.parallel.threads
        self.queue = Queue()
        said = study.settings.model_dump_json(exclude={"force", "workers"})
        self._name = hashlib.sha256(said.encode()).hexdigest()[:10]
        self._jobs: dict[str, str] = read_submitted(self.folder, self._name) if self.parallel.queues else {}
        if submits and not any(self.queue.holds(job) for job in self._jobs.values()):
            self._jobs = {}  # they are over: what is not finished is submitted anew

    @property
    def closing(self) -> str | None:
        """The job that closes the study, where one was submitted."""
        return self._jobs.get(CLOSING)

    def close(self) -> None:
        """Wait for the closing job."""
        while self.closing is not None and self.queue.holds(self.closing):
            time.sleep(LOOK)

    def run(self, stage: Stage, show: Show) -> list[Outcome]:
        """The stage's runs: submit what is not done, unless it was before, and follow it to its end."""
        done = {
            n: o for n, r in enumerate(stage.requests) if (o := runner.recorded(r)).status in ("finished", "diverged")
        }
        if self.study.settings.force and self.submits and not self._jobs:
            done = {}
        ahead = [n for n in range(len(stage.requests)) if n not in done]
        if self.parallel.queues and self.submits and not self._jobs and ahead:
            self._submit_all(stage, ahead)
        with show(len(stage.requests)) as display:
            for number, outcome in done.items():
                display.end(number, stage.requests[number], outcome)
            done |= self._follow(stage, ahead, display)
        return [done[n] for n in range(len(stage.requests))]

    # --- handing over -------------------------------------------------------------------------------------------------

    def _job(self, stage: StageName, number: int) -> Job:
        return Job(self.study.settings, self.study.command, stage, number, self.threads)

    def _submit_all(self, first: Stage, ahead: Sequence[int]) -> None:
        """The stages from this one on as arrays, each after the one before, and the job that closes the study."""
        wanted: dict[StageName, Sequence[int]] = {first.name: ahead}
        for name in STAGES[STAGES.index(first.name) + 1 :]:
            wanted[name] = range(_most(self.study, name))
        before: list[str] = []
        for name, numbers in wanted.items():
            if numbers:
                jobs = [self._job(name, n) for n in numbers]
                before = self._submit(jobs, [f"{name} {n}" for n in numbers], before)
        self._submit([Closing(self.study.settings, self.study.command, self.after)], [CLOSING], before)
        write_submitted(self.folder, self._name, self._jobs)
        self.queue.forget()

    def _submit(self, jobs: Sequence[Job | Closing], names: Sequence[str], before: Sequence[str]) -> list[str]:
        """Hand jobs over as arrays that wait for others to end, however they do; the ids others can wait for."""
        waits = {"dependency": f"afterany:{':'.join(before)}"} if before else {}
        executor = self.parallel.executor(self.folder, **waits)
        for first in range(0, len(jobs), TOGETHER):
            some = executor.submit_array(list(jobs[first : first + TOGETHER]))
            self._jobs |= dict(zip(names[first:], (job.job_id for job in some), strict=False))
        return sorted({self._jobs[name].partition("_")[0] for name in names})

    def _start(self, stage: StageName, number: int) -> Started | None:
        """A job under way; None where nobody knows of one."""
        if self.parallel.queues:
            known = self._jobs.get(f"{stage} {number}")
            return None if known is None else InQueue(known, self.queue)
        return InProcess(self.parallel.executor(self.folder).submit(self._job(stage, number)))

    # --- following ----------------------------------------------------------------------------------------------------

    def _follow(self, stage: Stage, ahead: Sequence[int], display: Display) -> dict[int, Outcome]:
        """See the runs to their end, in a backend without a queue so many at once as there are workers or cores."""
        most = len(ahead) if self.parallel.queues else self.study.settings.workers or cores()
        waiting, under_way, done = deque(ahead), dict[int, Started | None](), dict[int, Outcome]()
        while waiting or under_way:
            while waiting and len(under_way) < most:
                number = waiting.popleft()
                under_way[number] = self._start(stage.name, number)
                display.begin(number, stage.requests[number])
            for number, job in list(under_way.items()):
                request = stage.requests[number]
                if job is not None and job.alive():
                    _tell(request, partial(display.update, number))
                    continue
                del under_way[number]
                done[number] = _ended(request, job)
                display.end(number, request, done[number])
            time.sleep(LOOK if under_way else 0)
        return done


def _ended(request: Request, job: Started | None) -> Outcome:
    """The outcome of a run whose job is gone; one that was lost on the way has failed, and its record says why."""
    outcome = runner.recorded(request)
    if records.status_of(outcome.folder) not in ("new", "unfinished"):
        return replace(outcome, skipped=False)
    if signs.read(outcome.folder) is not None:
        return replace(outcome, status="busy", reason="another process is at it")
    return abandon(request, job.end()) if job is not None else outcome


def _tell(request: Request, update: Callable[[Any], None]) -> None:
    """Pass the last sign of life on."""
    with suppress(MtlbenchError):
        sign = signs.read(runner.folder_of(request))
        if sign is not None:
            update(Progress(sign.phase, sign.step, sign.steps, {}, sign.rate))


def _most(study: ResolvedStudy, stage: StageName) -> int:
    """How many runs a stage may come to have."""
    if stage == "trials":
        return len(trials(study)) if study.settings.tune else 0
    planned = runs(study)
    after = sum(follows(r) is not None for r in planned)
    sizes: Mapping[str, int] = {"runs": len(planned) - after, "following": after}
    return sizes.get(stage, 2 * len(planned) if study.base.get("budget") == "final" else 0)
