"""Asking checks: each yields what is wrong, one line a fault; an exception inside one is its fault, with its place."""

from __future__ import annotations

import inspect
import itertools
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from mtlbench.errors import one_line
from mtlbench.seeding import seeded

S = TypeVar("S")
Check = Callable[[S], Iterator[str]]
"""Yields a line for everything that is wrong; its docstring is what it says when nothing is."""

SHOWN = 3
"""Faults of one check that are shown."""
LIMIT = 50
"""Faults after which a check is not asked on."""
FOREIGN = (Path(__file__).parent.parent, *(Path(sysconfig.get_path(p)) for p in ("stdlib", "purelib")))
"""The package, Python's library and what is installed: nobody's own code."""


@dataclass(frozen=True)
class Finding:
    """One check's answer: `detail` is what was found right, or what is wrong and where, in one line."""

    name: str
    ok: bool
    detail: str


def ask(checks: Mapping[str, Check[S]], subject: S, file: Callable[[], Path | None]) -> list[Finding]:
    """Every check's finding, in order; `file` says where the subject's source lies, once that is known."""
    return [_ask(name, check, subject, file) for name, check in checks.items()]


def _ask(name: str, check: Check[S], subject: S, file: Callable[[], Path | None]) -> Finding:
    faults: list[str] = []
    with seeded("battery", name):
        try:
            faults.extend(itertools.islice(check(subject), LIMIT))
        except (Exception, SystemExit) as error:
            faults.append(located(error, file()))
    if not faults:
        return Finding(name, True, _promise(check))
    more = f"; and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return Finding(name, False, "; ".join(" ".join(f.split()) for f in faults[:SHOWN]) + more)


def _promise(check: Callable[..., object]) -> str:
    return (inspect.getdoc(check) or "").split("\n\n")[0].replace("\n", " ").rstrip(".")


def located(error: BaseException, file: Path | None) -> str:
    """An exception in one line with the file and line it came from: the user's, where it passed through their file."""
    frames = [(Path(f.filename), f.lineno) for f in traceback.extract_tb(error.__traceback__)]
    own = [f for f in frames if file is not None and f[0] == file]
    outside = [f for f in frames if not any(folder in f[0].parents for folder in FOREIGN)]
    places = own or outside
    notes = "".join(f" {note}" for note in getattr(error, "__notes__", ()))
    return one_line(error) + notes + (f" ({places[-1][0].name}, line {places[-1][1]})" if places else "")
