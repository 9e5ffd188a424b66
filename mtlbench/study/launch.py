"""The executor for this machine: in turn in this process, or side by side in local processes (`worker`)."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import wait
from pathlib import Path

import torch

from mtlbench import records
from mtlbench.errors import one_line
from mtlbench.runs import runner
from mtlbench.runs.request import Outcome, Progress, Request
from mtlbench.study.display import Display, Show
from mtlbench.study.executor import Stage
from mtlbench.study.study import ResolvedStudy
from mtlbench.study.worker import VISIBLE, Execute, Worker, execute_one, stop
from mtlbench.training import ranks


class Here:
    """This machine: in turn, or in as many processes as the study's settings or the cores allow."""

    def __init__(self, study: ResolvedStudy) -> None:
        self.study = study

    def run(self, stage: Stage, show: Show) -> list[Outcome]:
        """Execute what is not done; the outcomes in the requests' order."""
        settings = self.study.settings
        wished = settings.workers if ranks.size() == 1 else 1  # all ranks of a run are at the same one
        seen = gpus(self.study.device)
        workers, threads = share(stage.total, self.study.device, wished, settings.threads, len(seen))
        return launch(stage.requests, workers, threads, show(len(stage.requests)), gpus=seen)


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus(device: str) -> tuple[str, ...]:
    """The GPUs that workers are placed on, as CUDA_VISIBLE_DEVICES names them; none where the device is one of them."""
    if device != "cuda" or ranks.size() > 1:
        return ()
    named = os.environ.get(VISIBLE)
    there = [g.strip() for g in named.split(",")] if named is not None else map(str, range(torch.cuda.device_count()))
    return tuple(g for g in there if g)


def place(gpus: Sequence[str], taken: Sequence[str | None]) -> str | None:
    """The GPU of the next worker beside those that `taken` names: one that has the fewest, the first of them."""
    return min(gpus, key=taken.count, default=None)


def share(
    runs: int, device: str, workers: int | None = None, threads: int | None = None, gpus: int = 1
) -> tuple[int, int]:
    """Workers, and threads for each: on CPU one worker a core, on CUDA one a GPU, up to the number of runs.

    It depends on all runs of the study, finished or not: a run that is resumed then has its threads, and so its bits.
    OMP_NUM_THREADS is the default for threads where somebody set it.
    """
    count = max(1, workers or min(runs, max(1, gpus) if device.startswith("cuda") else cores()))
    wished = os.environ.get("OMP_NUM_THREADS", "")
    known = int(wished) if re.fullmatch("[0-9]{1,4}", wished) else 0
    return count, threads or known or max(1, cores() // count)


def launch(
    requests: Sequence[Request],
    workers: int,
    threads: int,
    display: Display,
    execute: Execute = execute_one,
    gpus: Sequence[str] = (),
) -> list[Outcome]:
    """Execute every request; the outcomes in the requests' order. A failing run, or a dying worker, stops no other.

    Every worker process sees one of `gpus`, where there are any; more workers than those share them.

    KeyboardInterrupt passes, after every run under way has written its checkpoint.
    """
    requests = [replace(r, threads=threads) for r in requests]
    with display:
        if min(workers, len(requests)) > 1:
            return _Pool(requests, workers, threads, display, execute, gpus).outcomes()
        return _in_turn(requests, display, execute)


def _in_turn(requests: Sequence[Request], display: Display, execute: Execute) -> list[Outcome]:
    outcomes = []
    for number, request in enumerate(requests):
        display.begin(number, request)
        outcomes.append(execute(request, partial(display.update, number)))
        display.end(number, request, outcomes[-1])
    return outcomes


class _Pool:
    """Hands requests to at most `workers` processes, which are started when needed and replaced when they die."""

    def __init__(
        self,
        requests: Sequence[Request],
        workers: int,
        threads: int,
        display: Display,
        execute: Execute,
        gpus: Sequence[str],
    ) -> None:
        self.gpus = gpus
        self.requests = requests
        self.workers = workers
        self.threads = threads
        self.display = display
        self.execute = execute
        self.waiting = deque(range(len(requests)))
        self.pool: list[Worker] = []
        self.done: dict[int, Outcome] = {}

    def outcomes(self) -> list[Outcome]:
        """Execute everything."""
        self._skip_done()
        try:
            while len(self.done) < len(self.requests):
                self._hand_out()
                busy = {w.pipe: w for w in self.pool if w.number is not None}
                for pipe in wait(list(busy)):
                    self._hear(busy[pipe])  # type: ignore[index]
        finally:
            stop(self.pool)
        return [self.done[number] for number in range(len(self.requests))]

    def _skip_done(self) -> None:
        """Runs that are done need no process."""
        for number in list(self.waiting):
            request = self.requests[number]
            with suppress(Exception):  # whatever is wrong with it, its worker will say
                if not request.force and records.status_of(runner.folder_of(request)) in ("finished", "diverged"):
                    self.done[number] = self.execute(request, lambda progress: None)
                    self.display.end(number, request, self.done[number])
                    self.waiting.remove(number)

    def _hand_out(self) -> None:
        while self.waiting:
            worker = next((w for w in self.pool if w.number is None), None)
            if worker is None and len(self.pool) == self.workers:
                return
            if worker is None:
                worker = Worker(self.threads, self.execute, place(self.gpus, [w.gpu for w in self.pool]))
                self.pool.append(worker)
            number = self.waiting.popleft()
            self.display.begin(number, self.requests[number])
            worker.give(number, self.requests[number])

    def _hear(self, worker: Worker) -> None:
        assert worker.number is not None
        try:
            said: Progress | Outcome = worker.pipe.recv()
        except (EOFError, OSError):
            self.pool.remove(worker)
            self._finish(worker, abandon(self.requests[worker.number], worker.death()))
            return
        if isinstance(said, Outcome):
            self._finish(worker, said)
        else:
            self.display.update(worker.number, said)

    def _finish(self, worker: Worker, outcome: Outcome) -> None:
        assert worker.number is not None
        self.done[worker.number] = outcome
        self.display.end(worker.number, self.requests[worker.number], outcome)
        worker.number = None


def abandon(request: Request, reason: str) -> Outcome:
    """End the record of a run whose process or job is lost."""
    try:
        runner.abandon(request, reason)
        folder = runner.folder_of(request)
    except Exception as error:  # the record may be what is broken
        return Outcome(Path(request.out), "failed", f"{reason}; {one_line(error)}")
    return Outcome(folder, "failed", reason)
