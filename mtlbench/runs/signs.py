"""Signs of life: a small file beside the record while a run is under way, for whoever looks on. Needs no torch."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mtlbench.runs.request import Progress

FILE = "running.json"
EVERY = 2.0  # seconds between two signs
SILENT = 600.0  # seconds after which a run on another machine is taken for dead: an evaluation gives no signs


@dataclass(frozen=True)
class Sign:
    """The last sign of a run: where it takes place, how far it is, and its mean speed in steps a second."""

    host: str
    process: int
    time: float  # seconds since 1970
    phase: str = "starting"
    step: int = 0
    steps: int = 0
    rate: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether the process is there; of another machine's, whether it was heard of not long ago."""
        if self.host != platform.node():
            return time.time() - self.time < SILENT
        try:
            os.kill(self.process, 0)
        except (OSError, OverflowError) as error:
            return isinstance(error, PermissionError)
        return True


class Signs:
    """Writes the signs of one run, and takes the file away when it ends. What cannot be written costs no run."""

    def __init__(self, folder: Path, progress: Callable[[Progress], None]) -> None:
        self._file = folder / FILE
        self._progress = progress
        self._written = 0.0
        self._first: tuple[float, int] | None = None  # when steps were first heard of, and how many

    def __enter__(self) -> Callable[[Progress], None]:
        return self._told

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _told(self, progress: Progress) -> None:
        now = time.monotonic()
        since, first = self._first = self._first or (now, progress.step)
        if now - self._written >= EVERY:
            rate = (progress.step - first) / (now - since) if now > since else 0.0
            self._write(phase=progress.phase, step=progress.step, steps=progress.steps, rate=rate)
        self._progress(progress)

    def _write(self, **said: Any) -> None:
        self._written = time.monotonic()
        sign = Sign(platform.node(), os.getpid(), time.time(), **said)
        draft = self._file.with_suffix(".json.tmp")
        with suppress(OSError):
            draft.write_text(json.dumps(asdict(sign)), encoding="utf-8")
            os.replace(draft, self._file)


def read(folder: Path) -> Sign | None:
    """The sign of a run that is under way; None where there is none, or its process is dead."""
    try:
        sign = Sign(**json.loads((folder / FILE).read_text(encoding="utf-8")))
        return sign if sign.alive else None
    except (OSError, ValueError, TypeError):
        return None
