"""`mtlbench status` and `mtlbench clean`: how far the runs of a results folder are, and what may go."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout

from mtlbench.cli.tables import table
from mtlbench.errors import ConfigError
from mtlbench.given import path
from mtlbench.records import finite
from mtlbench.report.reading.settings import flatten
from mtlbench.report.text import clean as cleaned
from mtlbench.runs.state import State, states
from mtlbench.study.words import clock

EVERY = 2.0  # seconds between two looks at a terminal
PLAIN_EVERY = 10.0  # where there is none
HEADER = ("method", "data set", "seed", "role", "at", "step", "steps/s", "left", "host", "state")
CLEAR = "\x1b[H\x1b[J"
LEFT = ("checkpoint*", "*.tmp", "running.json", "traceback.txt")
"""What a run that is over leaves behind and nobody reads any more."""


def status(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="A results folder.")] = "results",
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Every run of a results folder: how far, how fast, where, and how it ended."""
    folder = _results(results)
    with suppress(KeyboardInterrupt):
        while True:
            found = list(states(folder))
            said = _json(found) if as_json else _table(found)
            print((CLEAR if watch and sys.stdout.isatty() else "") + said, flush=True)
            if not watch:
                break
            time.sleep(EVERY if sys.stdout.isatty() else PLAIN_EVERY)
    return 0


def _results(given: str) -> Path:
    folder = Path(path(given, "RESULTS"))
    if not (folder / "records").is_dir():
        raise ConfigError(f"'{given}' is not a results folder (it has no folder 'records')")
    return folder


def _json(found: Sequence[State]) -> str:
    return json.dumps([finite({**asdict(s), "folder": str(s.folder), "left": s.left}) for s in found], indent=2)


def _table(found: Sequence[State]) -> str:
    counts = Counter(s.status for s in found)
    total = f"{len(found)} runs" + "".join(f", {count} {name}" for name, count in sorted(counts.items()))
    rows = [_row(s, at) for s, at in zip(found, _at(found), strict=True)]
    kept = [i for i in range(len(HEADER)) if any(row[i] for row in rows)]  # nobody misses the speed of what is over
    return table([HEADER[i] for i in kept], [[row[i] for i in kept] for row in rows]) + f"\n{total}" if found else total


def _at(found: Sequence[State]) -> list[str]:
    """In what each run differs from the others of its method, data set, seed and role: a sweep's point, a trial's number."""
    alike: dict[tuple[object, ...], Counter[tuple[str, str]]] = defaultdict(Counter)
    sizes = Counter((s.method, s.dataset, s.seed, s.role) for s in found)
    settings = [{n.removeprefix("options."): cleaned(v, 40) for n, v in flatten(s.config)} for s in found]
    for s, own in zip(found, settings, strict=True):
        alike[s.method, s.dataset, s.seed, s.role].update(own.items())
    told = []
    for s, own in zip(found, settings, strict=True):
        group = (s.method, s.dataset, s.seed, s.role)
        differ = [f"{n} {v}" for n, v in own.items() if alike[group][n, v] < sizes[group]]
        told.append(f"trial {s.trial}" if s.trial is not None else ", ".join(differ[:4]))
    return told


def _row(s: State, at: str) -> tuple[str, ...]:
    step = f"{s.step}/{s.steps}" if s.steps else ""
    rate = f"{s.rate:.3g}" if s.rate else ""
    left = clock(s.left) if s.left is not None else ""
    score = f", validation score {s.score:.3f}" if s.score is not None else ""
    reason = f": {s.reason}" if s.reason else ""
    phase = f" ({s.phase})" if s.phase else ""
    seed = "" if s.seed is None else str(s.seed)
    return (
        s.method or s.folder.name,
        s.dataset,
        seed,
        s.role,
        at,
        step,
        rate,
        left,
        s.host,
        s.status + phase + score + reason,
    )


def clean(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="A results folder.")] = "results",
    failed: Annotated[
        bool, typer.Option("--failed", help="The whole folders of failed runs, too: they begin anew next time.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Remove without asking.")] = False,
) -> int:
    """Remove what finished and diverged runs no longer need: checkpoints, drafts, tracebacks of failed attempts."""
    folder = _results(results)
    found = _left(folder, failed)
    size = sum(file.stat().st_size for files in found.values() for file in files)
    for run, files in found.items():
        print(f"{run}: {', '.join(file.name for file in files)}")
    count = sum(map(len, found.values()))
    if not count:
        print("nothing to remove")
        return 0
    what = f"{count} files, {size / 1e6:.1f} MB"
    if not (yes or _asked(f"remove {what}? [y/N] ")):
        print(f"nothing removed ({what}; --yes removes them without asking)")
        return 0
    removed = sum(_remove(run, files) for run, files in found.items())
    print(f"removed {removed} of {what}")
    return 0


def _left(results: Path, failed: bool) -> dict[Path, list[Path]]:
    """What may go, by run: nothing of a run that is under way or goes on from it."""
    found: dict[Path, list[Path]] = {}
    for s in states(results):
        whole = failed and s.status == "failed"
        if whole or s.status in ("finished", "diverged"):
            patterns = ("*",) if whole else LEFT
            files = {
                f for pattern in patterns for f in s.folder.glob(pattern) if f.is_file() and f.name != "record.lock"
            }
            found[s.folder] = sorted(files)
    return {folder: files for folder, files in found.items() if files}


def _asked(question: str) -> bool:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _remove(run: Path, files: Sequence[Path]) -> int:
    """Remove a run's files under its lock; how many went. A run that somebody began meanwhile keeps them."""
    try:
        with FileLock(run / "record.lock").acquire(timeout=0):
            for file in files:
                file.unlink(missing_ok=True)
    except Timeout:
        return 0
    if not any(file.name != "record.lock" for file in run.iterdir()):
        (run / "record.lock").unlink(missing_ok=True)
        run.rmdir()
    return len(files)
