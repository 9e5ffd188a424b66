"""Writing a record: one line at a time, each whole or not at all. Needs no torch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtlbench.errors import RecordError
from mtlbench.records.lines import FILE, Line


def finite(value: Any) -> Any:
    """JSON has no NaN: non-finite numbers become null, in nested data too."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


class Writer:
    """Appends lines to one record; each line is one write, so that two processes or a kill never mix or split two."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self.folder = folder
        self.attempt = attempt
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._mend()
        except OSError as error:
            raise RecordError(f"cannot write the record in '{folder}': {error.strerror or error}") from error

    def write(self, line: Line) -> None:
        """Append a line of this attempt and hand it to the disk."""
        data = finite(line.model_copy(update={"attempt": self.attempt}).model_dump(mode="python"))
        self._append((json.dumps(data, allow_nan=False, separators=(",", ":")) + "\n").encode())

    def _append(self, data: bytes) -> None:
        try:
            handle = os.open(self.folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            try:
                os.write(handle, data)
                os.fsync(handle)
            finally:
                os.close(handle)
        except OSError as error:
            raise RecordError(f"cannot write the record in '{self.folder}': {error.strerror or error}") from error

    def _mend(self) -> None:
        """End a line that a kill cut off, so that ours starts on its own."""
        path = self.folder / FILE
        if path.exists() and path.stat().st_size and not path.read_bytes().endswith(b"\n"):
            self._append(b"\n")
