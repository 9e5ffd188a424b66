"""Writing a record: one line at a time, each whole or not at all. Needs no torch."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from mtlbench.errors import RecordError
from mtlbench.records.files import write_all
from mtlbench.records.lines import FILE, Line
from mtlbench.records.sealing import Chain, is_sealed


def finite(value: Any) -> Any:
    """JSON has no NaN: non-finite numbers become null, in nested data too."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    return value


def _is_complete(line: bytes, chain: Chain) -> bool:
    """Whether only the line break is missing; older lines have no checksum, but half an object is no JSON."""
    if is_sealed(line):
        return chain.fits(line)
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


class Writer:
    """Appends lines to one record, each of them whole, sealed and on the disk, or not there at all."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self.folder = folder
        self.attempt = attempt
        self._torn = False
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._mend()
        except OSError as error:
            raise self._error(error) from error

    def write(self, line: Line) -> None:
        """Append a line of this attempt and hand it to the disk. RecordError where the disk does not take it whole."""
        data = finite(line.model_copy(update={"attempt": self.attempt}).model_dump(mode="python"))
        text = json.dumps(data, allow_nan=False, separators=(",", ":")).encode()
        try:
            if self._torn:
                self._mend()
            sealed = self._chain.seal(text)
            self._append(sealed + b"\n")
        except OSError as error:
            raise self._error(error) from error
        self._chain.add(sealed)

    def _append(self, data: bytes) -> None:
        handle = os.open(self.folder / FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            self._whole_or_nothing(handle, data)
        finally:
            os.close(handle)

    def _whole_or_nothing(self, handle: int, data: bytes) -> None:
        before = os.fstat(handle).st_size
        try:
            write_all(handle, data)
            os.fsync(handle)
        except OSError:
            self._torn = True
            with suppress(OSError):
                os.ftruncate(handle, before)
            raise

    def _mend(self) -> None:
        """Take away a line that was cut off; end one that lacks its line break only. Sets where the chain goes on."""
        path = self.folder / FILE
        data = path.read_bytes() if path.exists() else b""
        *lines, rest = data.split(b"\n")
        self._chain = Chain(lines)
        if _is_complete(rest, self._chain):
            self._append(b"\n")
            self._chain.add(rest)
        elif rest:
            os.truncate(path, len(data) - len(rest))
        self._torn = False

    def _error(self, error: OSError) -> RecordError:
        return RecordError(f"cannot write the record in '{self.folder}': {error.strerror or error}")


class Mute(Writer):
    """Of a process that leaves writing to another one."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self.folder = folder
        self.attempt = attempt

    def write(self, line: Line) -> None:
        """Nothing."""
