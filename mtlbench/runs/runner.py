"""One run: configuration to record. The only place where data, method, training, evaluation and costs meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from mtlbench import records
from mtlbench.errors import RecordError
from mtlbench.runs import ends
from mtlbench.runs.assembly import Assembly, start_line
from mtlbench.runs.course import Course
from mtlbench.runs.previews import Previews
from mtlbench.runs.request import Outcome, Preview, Progress, Request
from mtlbench.runs.signs import Signs
from mtlbench.training.ranks import join

__all__ = [
    "Outcome",
    "Preview",
    "Progress",
    "Request",
    "abandon",
    "execute",
    "folder_of",
    "plan",
    "recorded",
    "standing",
]


def plan(request: Request) -> Preview:
    """What a request would do, without doing it; raises what is wrong with it."""
    return Previews().of(request)


def folder_of(request: Request) -> Path:
    """Where a request's record lies, or will lie; builds no network."""
    return Assembly(request).folder


def standing(request: Request) -> Preview:
    """Folder, status and steps of a request, without its phases: builds no network where the budget counts all steps."""
    if request.config.budget != "total":
        return plan(request)
    folder = folder_of(request)
    return Preview(folder, records.status_of(folder), (), request.config.steps)


def execute(request: Request, progress: Callable[[Progress], None] = lambda _: None) -> Outcome:
    """Do a run, or go on with it. What goes wrong inside it ends in its record and the outcome, not in an exception.

    Raises MtlbenchError where nothing can be recorded (an unknown name, an unwritable folder), and KeyboardInterrupt
    after saving a checkpoint.
    """
    parts, world = Assembly(request), join(request.device.split(":")[0])
    _writable(parts.folder)
    if not world.first:
        return Course(parts, lambda _: None, world).go()
    try:
        with FileLock(parts.folder / "record.lock").acquire(timeout=0), Signs(parts.folder, progress) as told:
            return Course(parts, told, world).go()
    except Timeout:
        return world.agreed(lambda: Outcome(parts.folder, "busy", "another process is at it", skipped=True))


def recorded(request: Request) -> Outcome:
    """How a run stands, by its record alone; one that is not at its end has failed so far."""
    return ends.outcome(folder_of(request))


def abandon(request: Request, reason: str) -> None:
    """After a worker died: take its lock and end its record, so that the run shows as failed and can go on later."""
    parts = Assembly(request)
    _writable(parts.folder)
    ends.end(parts.folder, reason, start_line(parts, ()))


def _writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if links := [path for path in (folder, *sorted(folder.iterdir())) if path.is_symlink()]:
            raise RecordError(f"'{links[0]}' is a link (a run writes into plain files of its own folder; remove it)")
        (folder / "record.lock").touch()
    except OSError as error:
        raise RecordError(f"cannot write results in '{folder.parent.parent}': {error.strerror or error}") from error
