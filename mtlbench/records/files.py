"""Files that are whole or not there: written until done under a temporary name, checksummed, then renamed. Needs no torch."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mtlbench.errors import RecordError

TOGETHER = 2**20  # bytes
LONGEST = 255  # bytes of a file's name, on every common file system
Bytes = bytes | bytearray | memoryview


def is_name(text: str) -> bool:
    """Whether a text that somebody else wrote names a file of one folder: one part, that a file system can have."""
    try:
        return bool(text) and Path(text).name == text and "\0" not in text and len(os.fsencode(text)) <= LONGEST
    except ValueError:  # half a character
        return False


def write_all(handle: int, data: Bytes) -> None:
    """Write everything: `os.write` may take less than it is given. OSError where the disk takes no more."""
    rest = memoryview(data).cast("B")
    while len(rest):
        taken = os.write(handle, rest)
        if taken <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        rest = rest[taken:]


class Stream:
    """What goes into a file, in turn; `sha256` is of everything written so far."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._hash = hashlib.sha256()
        self._held = bytearray()  # small pieces go to the disk together

    def write(self, data: Bytes) -> int:
        """Take all of it; the bytes taken."""
        self._hash.update(data)
        self._held += data
        if len(self._held) >= TOGETHER:
            self.flush()
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Write what is held back."""
        write_all(self._handle, self._held)
        self._held = bytearray()

    @property
    def sha256(self) -> str:
        """In hexadecimal digits."""
        return self._hash.hexdigest()


@contextmanager
def replacing(path: Path, keep: Path | None = None) -> Iterator[Stream]:
    """A stream that becomes the file once it is whole and on the disk; until then the old file, or none, is there.

    With `keep` the old file is kept under that name. RecordError names the file where the disk does not take it.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            stream = Stream(handle)
            yield stream
            stream.flush()
            os.fsync(handle)
        finally:
            os.close(handle)
        if keep is not None and path.exists():
            os.replace(path, keep)
        os.replace(temporary, path)
    except Exception as error:
        with suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise RecordError(f"cannot write '{path}': {error.strerror or error}") from error
        raise
    sync(path.parent)


def write_whole(path: Path, data: Bytes) -> str:
    """Put a whole file in the place of whatever is there; its SHA-256."""
    with replacing(path) as stream:
        stream.write(data)
    return stream.sha256


def sync(folder: Path) -> None:
    """Hand a folder's names to the disk, where its file system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def digest(path: Path) -> str:
    """The SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
