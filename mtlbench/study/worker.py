"""A process that executes runs. This file imports no torch itself: a worker minds signals before it loads torch, and its
threads are settled by then.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

from mtlbench.errors import FOREIGN, RankLost, one_line
from mtlbench.runs.request import Outcome, Progress, Request

Execute = Callable[[Request, Callable[[Progress], None]], Outcome]
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
VISIBLE = "CUDA_VISIBLE_DEVICES"
PATIENCE = 60.0  # seconds for a stopped worker to write its checkpoint


def execute_one(request: Request, progress: Callable[[Progress], None]) -> Outcome:
    """Do a run, or go on with it, whatever is wrong with it."""
    from mtlbench.runs import runner  # torch: the one place where a worker loads it

    try:
        return runner.execute(request, progress)
    except RankLost:  # with it the others' runs are lost, too
        raise
    except FOREIGN as error:  # what the runner could not even record: the others must go on
        return Outcome(Path(request.out), "failed", one_line(error))


class Worker:
    """A process that executes one request after another."""

    def __init__(self, threads: int, execute: Execute, gpu: str | None = None) -> None:
        self.gpu = gpu  # the one it sees, as CUDA_VISIBLE_DEVICES names it; None: all there are
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, execute), daemon=True)
        with _in_environment(threads, gpu), _interrupts_ignored():
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


def stop(pool: Sequence[Worker]) -> None:
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


def settle_threads(threads: int) -> None:
    """Thread counts for libraries that this process, or one that it starts, has yet to load."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(threads)))


@contextmanager
def _in_environment(threads: int, gpu: str | None) -> Iterator[None]:
    """A process started inside has its thread counts, and its GPU, set before it loads any library."""
    before = {name: os.environ.get(name) for name in (*THREAD_VARIABLES, VISIBLE)}
    settle_threads(threads)
    if gpu is not None:
        os.environ[VISIBLE] = gpu
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """A process started inside ignores Ctrl-C from its first instruction on."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
