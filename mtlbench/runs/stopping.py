"""Ctrl-C and SIGTERM as a question that the training loop asks after each step, so that it stops between two."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def polite_stop() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C or SIGTERM into a question the loop asks after each step; the second one is immediate.

    SIGTERMs are all one: `timeout` and batch systems send them to a process, its group and its parent, who passes them
    on. They never cost the checkpoint; SIGKILL ends who does not come to it. A signal that is ignored stays so (a
    worker's Ctrl-C). Who asked too late for this run still stops the next one.
    """
    asked = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number != signal.SIGTERM:
            raise KeyboardInterrupt
        asked = True

    try:
        heard = (s for s in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(s) != signal.SIG_IGN)
        before = {s: signal.signal(s, handler) for s in heard}
    except ValueError:  # not the main thread: signals are somebody else's
        before = {}
    try:
        yield lambda: asked
    finally:
        for number, old in before.items():
            signal.signal(number, old)
    if asked:
        raise KeyboardInterrupt
