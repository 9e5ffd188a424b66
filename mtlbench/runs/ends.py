"""How a record ends: read as an outcome, and written for a run that ended without a word."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from mtlbench import records
from mtlbench.errors import RankLost
from mtlbench.records.lines import Start
from mtlbench.runs.request import Outcome
from mtlbench.training.ranks import World

SECONDS = 60.0  # for the lock of a process that has just died
SOON = 10.0  # the same, while somebody waits to end this process


def outcome(folder: Path) -> Outcome:
    """How a run stands, by its record alone; one that is not at its end has failed so far."""
    status = records.status_of(folder)
    if status not in ("finished", "diverged", "failed"):
        return Outcome(folder, "failed", f"its record is {status}", skipped=True)
    run = records.read_attempts(folder)[-1]
    final = run.final("val")
    value, error = (final.gain, final.gain_error) if final else (None, None)
    assert run.end is not None
    return Outcome(folder, run.end.status, run.end.reason, value, run.end.seconds, error, skipped=True)


def end(folder: Path, reason: str, start: Start | None = None, seconds: float = SECONDS) -> None:
    """Write "failed" and why into a record that has no end; `start` is its first line, should it have none either.

    Raises Timeout where another process still holds it.
    """
    with FileLock(folder / "record.lock").acquire(timeout=seconds):
        status = records.status_of(folder)
        writer = records.Writer(folder, max(records.last_attempt(folder), 1))
        if status == "new" and start is not None:
            writer.write(start)
        if status in ("new", "unfinished"):
            writer.write(records.End(status="failed", reason=reason))


@contextmanager
def ended_where_lost(folder: Path, world: World) -> Iterator[None]:
    """Where the rank that writes is lost, another one ends the record."""
    try:
        yield
    except RankLost as error:
        if not world.first:
            with suppress(Timeout):  # it is there, and writes itself
                end(folder, str(error), seconds=SOON)
        raise
