"""The interface of all executors, whatever a study's runs execute on. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from mtlbench.runs.request import Outcome, Request
from mtlbench.study.display import Show

StageName = Literal["trials", "runs", "following", "controls"]


@dataclass(frozen=True)
class Stage:
    """Runs of a study that wait for nobody but the stages before it; they are some of its `total`."""

    name: StageName
    requests: tuple[Request, ...]
    total: int


class Executor(Protocol):
    """Where a study's runs execute: on this machine, or as a cluster's jobs."""

    def run(self, stage: Stage, show: Show) -> list[Outcome]:
        """Execute what is not done; the outcomes in the requests' order. A run that fails, or is lost, stops no other.

        KeyboardInterrupt passes, after every run under way here has written its checkpoint.
        """
