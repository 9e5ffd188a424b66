"""What Slurm says of jobs, asked by its own commands: who is still there, and why another is not. Needs no torch.

Asked with `squeue` and `scontrol`, which every Slurm answers; `sacct`, which needs an accounting database, is a last resort.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from mtlbench.records.files import write_whole

EVERY = 2.0  # seconds between two looks at the queue
SECONDS = 60  # for an answer
FILE = "submitted.json"


class Queue:
    """The user's jobs. Where the controller does not answer, it is as it was."""

    def __init__(self) -> None:
        self._asked = 0.0
        self._there: set[str] | None = None

    def holds(self, job: str) -> bool:
        """Whether a job (12, or 12_3 in an array) waits or runs; yes, too, as long as nobody has ever answered."""
        if self._there is None or time.monotonic() - self._asked >= EVERY:
            self._asked = time.monotonic()
            said = _ask("squeue", "--me", "--noheader", "--array", "--format=%i")
            self._there = self._there if said is None else set(said.split())
        return self._there is None or job in self._there

    def forget(self) -> None:
        """Jobs were submitted: the last answer does not know them."""
        self._there = None

    def reason(self, job: str) -> str:
        """How a job that is gone ended, in the scheduler's words."""
        said = _ask("scontrol", "--oneliner", "show", "job", job) or ""
        found = dict(re.findall(r"\b(JobState|Reason|ExitCode)=(\S+)", said))
        if not found:
            kept = _ask("sacct", "--noheader", "--parsable2", "--allocations", "--format=State,ExitCode", "--jobs", job)
            found = dict(zip(("JobState", "ExitCode"), (kept or "").strip().split("|"), strict=False))
        told = ", ".join(f"{key} {value}" for key, value in found.items() if value not in ("", "None"))
        return f"its job {job} ended without it: {told or 'the scheduler knows no more of it'}"


def _ask(*command: str) -> str | None:
    """A command's answer; None where there is none."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def read_submitted(folder: Path, study: str) -> dict[str, str]:
    """A study's jobs, "stage number" -> id, as they were submitted last; {} where there are none."""
    try:
        data = json.loads((folder / FILE).read_text(encoding="utf-8"))
        jobs = data.get(study, {})
        return {str(k): str(v) for k, v in jobs.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def write_submitted(folder: Path, study: str, jobs: Mapping[str, str]) -> None:
    """Remember a study's jobs, so that the same command follows them instead of submitting them again."""
    try:
        known = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FILE, json.dumps({**known, study: dict(jobs)}, indent=1).encode())
