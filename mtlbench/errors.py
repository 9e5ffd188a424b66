"""Every error mtlbench raises on purpose: one line that names what was given, what is allowed and the nearest match."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

FOREIGN = (Exception, SystemExit, GeneratorExit)
"""What a plug-in's code may raise and must not end a study with; Ctrl-C is the user's own."""
NAMED = 3  # of the weights that are not finite
LONGEST = 2000  # characters of a message: a damaged file's content may stand in one


def printable(text: str) -> str:
    """Any text as one line that a terminal shows as it is: controls, direction marks and half characters escaped."""
    line = " ".join(text.split())
    if not line.isprintable():
        line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def short(text: str, most: int = 80) -> str:
    """A text that may be very long, cut: what somebody gave, inside a message."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


class MtlbenchError(Exception):
    """Root of the tree; the command line prints it as one line and exits with 2."""

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(MtlbenchError):
    """An option, flag or configuration file is wrong."""


class UnknownName(ConfigError):
    """A name that is not among those allowed."""


class DataError(MtlbenchError):
    """A data set on disk is missing, damaged or not what its layout promises; names the file."""


class PluginError(MtlbenchError):
    """A user's method or data set cannot be loaded or breaks the contract."""


class RecordError(MtlbenchError):
    """A record cannot be read or written."""


class CheckpointError(MtlbenchError):
    """A checkpoint or weights file does not fit."""


class RankLost(MtlbenchError):
    """Of a run in several processes another one is gone, or failed where this one did not: it cannot go on here."""


class Diverged(MtlbenchError):
    """A loss, an output or a weight became NaN or infinite: the run ends here, the study goes on."""

    def __init__(self, what: str, names: Sequence[str], place: str) -> None:
        self.what, self.names, self.place = what, tuple(names), place
        listed = ", ".join(self.names[:NAMED])
        more = f" and {len(self.names) - NAMED} more" if len(self.names) > NAMED else ""
        super().__init__(f"{what} of {listed}{more} is not finite {place}")


def unknown(what: str, given: str, allowed: Iterable[str]) -> UnknownName:
    """The error for an unknown name: what was given, the nearest match, and all that is allowed."""
    names = sorted(allowed)
    given = short(given)
    near = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return UnknownName(f"unknown {what} '{given}'{hint} (allowed: {', '.join(names) or 'none'})")


def one_line(error: BaseException) -> str:
    """An exception as one line: its type unless it is ours, and its text without line breaks."""
    try:
        text = printable(str(error))
    except Exception:  # a plug-in's exception may be broken, too
        text = "its text cannot be shown"
    return text if isinstance(error, MtlbenchError) else f"{type(error).__name__}: {text}"
