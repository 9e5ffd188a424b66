"""What is asked of a run, and what it answers: plain values that travel between processes. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mtlbench.config import RunConfig
from mtlbench.records import Followed

if TYPE_CHECKING:
    from mtlbench.method import Phase


Status = Literal["finished", "failed", "diverged", "busy"]


@dataclass(frozen=True)
class Request:
    """One run as asked for: its configuration, and what does not decide its numbers (paths, threads, device index)."""

    config: RunConfig
    method: str  # a registered name, file.py:Class or package.module:Class
    dataset: str
    out: str
    data_dir: str | None = None
    weights: str | None = None  # a file of pretrained weights
    weighting: str | None = None  # file.py:Class of the configuration's weighting; None: a registered one
    device: str = "cpu"
    threads: int = 1
    ranks: int = 1  # processes that train it together
    readers: int = 0  # threads that read batches ahead
    force: bool = False
    command: str = ""
    trial: int | None = None  # its number in a tuning stage
    point: str = ""  # of a sweep: what tells it from the same method and seed at the others
    control_of: str | None = None  # role "control": the method whose training it is given
    control_kind: Literal["steps", "flops"] | None = None  # given its total steps, or its total training FLOPs
    follows: Followed | None = None  # whose run of the same seed completed its options


@dataclass(frozen=True)
class Preview:
    """What a request would do: its folder, how far it is, and the phases it would run."""

    folder: Path
    status: str  # new, finished, diverged, failed or unfinished
    phases: tuple[Phase, ...]
    steps: int


@dataclass(frozen=True)
class Progress:
    """A sign of life of a run."""

    phase: str
    step: int
    steps: int
    losses: dict[str, float]
    rate: float  # steps a second
    message: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a run ended, or stands: a run that was done before is `skipped` and keeps its status; one that another process
    holds is busy."""

    folder: Path
    status: Status
    reason: str = ""
    score: float | None = None  # on validation; `mtlbench.deployed.scoring` says what it is
    seconds: float = 0.0
    error: float | None = None  # the score's standard error
    skipped: bool = False  # nothing was done now
