"""The one place where a command ends: whatever happens becomes an exit code and, where something is wrong, one line.

0 all well, 1 some run (or mtlbench itself) failed, 2 the command, the configuration or a file is wrong, 130 stopped.
What nobody foresaw keeps its traceback in a file that the line names.
"""

from __future__ import annotations

import errno
import os
import platform
import signal
import sys
import tempfile
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import mtlbench
from mtlbench.cli.output import Output
from mtlbench.errors import ConfigError, MtlbenchError, PluginError, one_line, printable, short

STOPPED = 130


def guarded(act: Callable[[], object]) -> int:
    """Call `act` and return the exit code; only what `act` itself prints, and at most one line more, is printed."""
    _open_low_descriptors()
    before = sys.stdout, sys.stderr
    out, err = Output(before[0]), Output(before[1])
    sys.stdout, sys.stderr = out, err
    try:
        with _terminable(), warnings.catch_warnings():
            if not sys.warnoptions:  # libraries' advice to their programmers
                for kind in (FutureWarning, DeprecationWarning, PendingDeprecationWarning):
                    warnings.simplefilter("ignore", kind)
            code = _code(act)
        out.flush()
        if out.error is not None and not isinstance(out.error, BrokenPipeError):  # `mtlbench list | head` is no fault
            code = complain(f"standard output cannot be written: {_reason(out.error)}", code or 1)
        err.flush()
        return code
    finally:
        sys.stdout, sys.stderr = before


def complain(line: str, code: int = 2) -> int:
    """Say what is wrong in one line, and return the exit code."""
    print(f"mtlbench: {printable(line)}", file=sys.stderr)
    return code


def _code(act: Callable[[], object]) -> int:
    try:
        _somewhere()
        code = act()
        return code if isinstance(code, int) else 0
    except BaseException as error:  # the end of all of them is here
        return _ending(error)


def _somewhere() -> None:
    """Without a working directory libraries end the process when they are loaded."""
    try:
        os.getcwd()
    except OSError as error:
        raise ConfigError("the working directory is not there any more") from error


def _ending(error: BaseException) -> int:
    """The exit code of what ended a command, said in one line."""
    if isinstance(error, KeyboardInterrupt):
        return complain("stopped", STOPPED)
    if isinstance(error, BrokenPipeError):
        return 0
    if isinstance(error, MtlbenchError):
        foreign = isinstance(error, PluginError) and error.__cause__ is not None
        return complain(one_line(error) + (_kept(error) if foreign else ""))
    if isinstance(error, SystemExit):
        return complain(f"a plug-in ended the program (sys.exit({error.code!r}))" + _kept(error))
    if isinstance(error, OSError):
        return complain(_reason(error) + _kept(error))
    if isinstance(error, MemoryError):
        return complain("out of memory" + _kept(error), 1)
    return complain(f"this should not have happened: {one_line(error)}" + _kept(error), 1)


def _reason(error: Exception) -> str:
    """What an operating system's error says, and about which file."""
    if not isinstance(error, OSError):
        return one_line(error)
    name = "" if error.filename is None else f"'{short(str(error.filename), 300)}': "
    return f"{name}{error.strerror or error}"


def _kept(error: BaseException) -> str:
    """Keep the traceback in a file; a remark that names it, or nothing where no file can be written."""
    try:
        handle, name = tempfile.mkstemp(prefix="mtlbench-", suffix="-traceback.txt")
        with open(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            about = f"mtlbench {mtlbench.__version__}, Python {platform.python_version()}, {platform.platform()}"
            print(about, f"arguments: {sys.argv[1:]}", file=file, sep="\n")
            traceback.print_exception(error, file=file)
        return f" (traceback in {name})"
    except (OSError, MemoryError, RecursionError, ValueError):
        return ""


@contextmanager
def _terminable() -> Iterator[None]:
    """SIGTERM stops a command as Ctrl-C does: runs write checkpoints, workers too, and the exit code is 130."""

    def stop(number: int, frame: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a group's second one must not disturb the checkpoints
        raise KeyboardInterrupt

    ours = signal.getsignal(signal.SIGTERM) == signal.SIG_DFL and threading.current_thread() is threading.main_thread()
    if ours:
        signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _open_low_descriptors() -> None:
    """A process started with a closed standard stream would give its number to the next file it opens."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno == errno.EBADF:
                os.open(os.devnull, os.O_RDWR)
