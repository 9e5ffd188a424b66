"""Where runs execute: in turn in this process, or side by side in local processes. This file imports no torch itself:
a worker's threads are settled before torch is loaded.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING

from mtlbench.errors import FOREIGN, one_line
from mtlbench.study.display import Display

if TYPE_CHECKING:
    from mtlbench.runs.runner import Outcome, Progress, Request

Execute = Callable[["Request", Callable[["Progress"], None]], "Outcome"]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
PATIENCE = 60.0  # seconds for a stopped worker to write its checkpoint


def cores() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share(runs: int, device: str, workers: int | None = None, threads: int | None = None) -> tuple[int, int]:
    """Workers, and threads for each: on CPU one worker a core up to the number of runs, on CUDA one.

    It depends on all runs of the study, finished or not: a run that is resumed then has its threads, and so its bits.
    OMP_NUM_THREADS is the default for threads where somebody set it.
    """
    count = max(1, workers or (1 if device.startswith("cuda") else min(runs, cores())))
    wished = os.environ.get("OMP_NUM_THREADS", "")
    known = int(wished) if re.fullmatch("[0-9]{1,4}", wished) else 0
    return count, threads or known or max(1, cores() // count)


def _execute(request: Request, progress: Callable[[Progress], None]) -> Outcome:
    from mtlbench.runs import runner

    try:
        return runner.execute(request, progress)
    except FOREIGN as error:  # what the runner could not even record: the others must go on
        return runner.Outcome(Path(request.out), "failed", one_line(error))


def launch(
    requests: Sequence[Request], workers: int, threads: int, display: Display, execute: Execute = _execute
) -> list[Outcome]:
    """Execute every request; the outcomes in the requests' order. A failing run, or a dying worker, stops no other.

    KeyboardInterrupt passes, after every run under way has written its checkpoint.
    """
    requests = [replace(r, threads=threads) for r in requests]
    with display:
        if min(workers, len(requests)) > 1:
            return _Pool(requests, workers, threads, display, execute).outcomes()
        return _in_turn(requests, display, execute)


def _in_turn(requests: Sequence[Request], display: Display, execute: Execute) -> list[Outcome]:
    outcomes = []
    for number, request in enumerate(requests):
        display.begin(number, request)
        outcomes.append(execute(request, partial(display.update, number)))
        display.end(number, request, outcomes[-1])
    return outcomes


class _Worker:
    """A process that executes one request after another."""

    def __init__(self, threads: int, execute: Execute) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, execute), daemon=True)
        with _threads_in_environment(threads), _interrupts_ignored():
            self.process.start()
        theirs.close()
        self.number: int | None = None  # of the request it executes

    def give(self, number: int, request: Request) -> None:
        """Hand it a request."""
        self.number = number
        with suppress(OSError):  # it is dead: its pipe's end says so to the pool
            self.pipe.send(request)

    def death(self) -> str:
        """How it died."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its worker process ended with exit code {code}"
        hint = " (out of memory?)" if -code == signal.SIGKILL else ""
        return f"its worker process was killed by {signal.Signals(-code).name}{hint}"


class _Pool:
    """Hands requests to at most `workers` processes, which are started when needed and replaced when they die."""

    def __init__(
        self, requests: Sequence[Request], workers: int, threads: int, display: Display, execute: Execute
    ) -> None:
        self.requests = requests
        self.workers = workers
        self.threads = threads
        self.display = display
        self.execute = execute
        self.waiting = deque(range(len(requests)))
        self.pool: list[_Worker] = []
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
            _stop(self.pool)
        return [self.done[number] for number in range(len(self.requests))]

    def _skip_done(self) -> None:
        """Runs that are done need no process."""
        from mtlbench import records
        from mtlbench.runs.assembly import Assembly

        for number in list(self.waiting):
            request = self.requests[number]
            with suppress(Exception):  # whatever is wrong with it, its worker will say
                if not request.force and records.status_of(Assembly(request).folder) in ("finished", "diverged"):
                    self.done[number] = self.execute(request, lambda progress: None)
                    self.display.end(number, request, self.done[number])
                    self.waiting.remove(number)

    def _hand_out(self) -> None:
        while self.waiting:
            worker = next((w for w in self.pool if w.number is None), None)
            if worker is None and len(self.pool) == self.workers:
                return
            if worker is None:
                worker = _Worker(self.threads, self.execute)
                self.pool.append(worker)
            number = self.waiting.popleft()
            self.display.begin(number, self.requests[number])
            worker.give(number, self.requests[number])

    def _hear(self, worker: _Worker) -> None:
        from mtlbench.runs import runner

        assert worker.number is not None
        try:
            said: Progress | Outcome = worker.pipe.recv()
        except (EOFError, OSError):
            self.pool.remove(worker)
            self._finish(worker, self._abandon(self.requests[worker.number], worker.death()))
            return
        if isinstance(said, runner.Outcome):
            self._finish(worker, said)
        else:
            self.display.update(worker.number, said)

    def _finish(self, worker: _Worker, outcome: Outcome) -> None:
        assert worker.number is not None
        self.done[worker.number] = outcome
        self.display.end(worker.number, self.requests[worker.number], outcome)
        worker.number = None

    def _abandon(self, request: Request, reason: str) -> Outcome:
        from mtlbench.runs import runner

        try:
            runner.abandon(request, reason)
            folder = runner.standing(request).folder
        except Exception as error:  # the record may be what is broken
            return runner.Outcome(Path(request.out), "failed", f"{reason}; {one_line(error)}")
        return runner.Outcome(folder, "failed", reason)


def _stop(pool: Sequence[_Worker]) -> None:
    """End the workers: at once where they are idle, with a checkpoint where they are not."""
    for worker in pool:
        with suppress(OSError):
            worker.pipe.send(None)
        if worker.number is not None:
            worker.process.terminate()
    try:
        for worker in pool:
            worker.process.join(PATIENCE)
    finally:  # a second Ctrl-C does not wait for checkpoints
        for worker in pool:
            if worker.process.is_alive():
                worker.process.kill()


def _work(pipe: Connection, execute: Execute) -> None:
    """A worker's life: requests in, progress and outcomes out, until the pipe closes or the parent says stop."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, and the parent tells us once
    signal.signal(signal.SIGTERM, _interrupt)
    alone = False

    def report(progress: Progress) -> None:
        nonlocal alone
        try:
            pipe.send(progress)
        except OSError:  # the parent is gone: stop as it would have asked, once
            if not alone:
                alone = True
                signal.raise_signal(signal.SIGTERM)

    with suppress(EOFError, OSError, KeyboardInterrupt):
        while (request := pipe.recv()) is not None:
            pipe.send(execute(request, report))


def _interrupt(number: int, frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


@contextmanager
def _threads_in_environment(threads: int) -> Iterator[None]:
    """A process started inside has its thread counts set before it loads any library."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process started inside ignores Ctrl-C from its first instruction on."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
