"""Standard output and errors that never end a run: whatever they cannot write is written otherwise, or not at all."""

from __future__ import annotations

import io
import os
from contextlib import suppress
from typing import Any, TextIO

ASCII = {
    "Δ": "Delta", "↑": "(up)", "↓": "(down)", "×": "x", "±": "+-", "−": "-", "–": "-", "—": "-", "…": "...", "°": " deg",
    "•": "*", "·": ".", "²": "2", "≤": "<=", "≥": ">=", "’": "'", "“": '"', "”": '"', "│": "|", "─": "-", "━": "-",
}  # fmt: skip


class Output(io.TextIOBase):
    """A text stream over another one, which may know few characters, be full or be closed.

    What its encoding lacks is spelled in ASCII. The first failure to write is kept in `error`, and all that follows is
    dropped: a log's full disk must cost no training.
    """

    def __init__(self, inner: TextIO | None) -> None:
        self._inner = inner
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)  # buffer, fileno, what a test's stream adds

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return getattr(self._inner, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str | None:  # type: ignore[override]
        return getattr(self._inner, "errors", None)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        with suppress(OSError, ValueError):
            return self._inner is not None and self._inner.isatty()
        return False

    def fileno(self) -> int:
        if self._inner is None:
            raise io.UnsupportedOperation("no stream")
        return self._inner.fileno()

    def write(self, text: str) -> int:
        if self._inner is not None and self.error is None:
            try:
                self._inner.write(self._known(text))
            except (OSError, ValueError) as error:  # ValueError: closed
                self._fail(error)
        return len(text)

    def flush(self) -> None:
        if self._inner is not None and self.error is None:
            try:
                self._inner.flush()
            except (OSError, ValueError) as error:
                self._fail(error)

    def _known(self, text: str) -> str:
        try:
            text.encode(self.encoding)
            return text
        except (UnicodeEncodeError, LookupError):
            spelled = "".join(c if self._knows(c) else ASCII.get(c, c) for c in text)
            return spelled.encode("ascii", "backslashreplace").decode() if not self._knows(spelled) else spelled

    def _knows(self, text: str) -> bool:
        try:
            return bool(text.encode(self.encoding)) or not text
        except (UnicodeEncodeError, LookupError):
            return False

    def _fail(self, error: Exception) -> None:
        """Keep the error; what the stream still holds must not fail again when the process ends."""
        self.error = error
        with suppress(OSError, ValueError, AttributeError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
