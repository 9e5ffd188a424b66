"""Decoded columns of a data set in memory-mapped .npy files: decoded once, shared by processes, rebuilt when stale.

They lie in $MTLBENCH_CACHE, or ~/.cache/mtlbench. A column is built beside its place and renamed into it under a lock.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

import numpy as np
from filelock import FileLock

from mtlbench.data.disk.files import Array
from mtlbench.errors import DataError
from mtlbench.given import path as given_path

if TYPE_CHECKING:
    from torch import Tensor

VERSION = 3  # of what is stored: a new number rebuilds every cache
_READ_ONLY = (errno.EACCES, errno.EPERM, errno.EROFS)
BLOCK = 1 << 20
BLOCKS = 64  # of a file, spread over it, are checked when it is opened: a small file wholly
AHEAD = 64  # items decoded and not yet written, at most


S = TypeVar("S")
Handler = Callable[[DataError], None]


@dataclass(frozen=True)
class Column:
    """One field of one split: `count` items of `shape` and `dtype`, decoded in order by `rows()` from `sources`.

    A damaged item raises a DataError that names its file; `tolerant`, where there is one, hands that to a handler and
    leaves the item out. `unpack` turns stored rows (B, *shape) into what training sees. `settings` names whatever else
    decides the stored values (classes, size).
    """

    name: str
    count: int
    shape: tuple[int, ...]
    dtype: str
    sources: Sequence[Path]
    rows: Callable[[], Iterable[Array]]
    unpack: Callable[[Array], Tensor]
    settings: str = ""
    tolerant: Callable[[Handler], Iterable[Array]] | None = None
    blank: bool = False  # whether a source that is not there is an item without any label

    @classmethod
    def of_files(
        cls,
        name: str,
        files: Sequence[Path],
        shape: tuple[int, ...],
        dtype: str,
        read: Callable[[Path], Array],
        unpack: Callable[[Array], Tensor],
        void: float | None = None,
        settings: str = "",
    ) -> Column:
        """A column with one file an item, read ahead in threads; an item whose file is not there is all `void`."""

        def item(path: Path) -> Array:
            return np.full(shape, void, dtype) if void is not None and _gone(path) else read(path)

        rows = partial(ahead, item, files)
        return cls(name, len(files), shape, dtype, files, rows, unpack, settings, rows, void is not None)

    def absent(self) -> list[Path]:
        """The sources that are not there, where such items count as unlabelled."""
        return [path for path in self.sources if _gone(path)] if self.blank else []

    def packed(self) -> Iterator[bytes]:
        """Every item's bytes as they are stored, checked against the column's promise."""
        dtype, count = np.dtype(self.dtype), 0
        for row in self.rows():
            if row.shape != self.shape or row.dtype != dtype:
                raise TypeError(f"column '{self.name}' decodes {row.dtype} {row.shape}, not {dtype} {self.shape}")
            count += 1
            yield row.tobytes()
        if count != self.count:
            where = self.sources[0] if self.sources else self.name
            raise DataError(f"'{where}': {count} items (expected: {self.count}; did it change just now?)")

    def digest(self) -> hashlib._Hash:
        """The hash that the items' bytes are added to: the column's fingerprint."""
        return hashlib.sha256(f"{self.dtype} {self.shape} {self.count}".encode())


def _gone(path: Path) -> bool:
    """Whether nothing at all lies at `path`; what cannot be told is left to the reader, whose error says more."""
    try:
        path.stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def ahead(read: Callable[[S], Array], sources: Sequence[S], handle: Handler | None = None) -> Iterator[Array]:
    """`read` of every source in order, done ahead in threads; memory stays within AHEAD items."""

    def attempt(source: S) -> Array | None:
        try:
            return read(source)
        except DataError as error:
            if handle is None:
                raise
            handle(error)
            return None

    with ThreadPoolExecutor(workers()) as pool:
        for start in range(0, len(sources), AHEAD):
            yield from (row for row in pool.map(attempt, sources[start : start + AHEAD]) if row is not None)


@dataclass(frozen=True)
class Stored:
    """A column as it lies in the cache: the mapped rows (count, *shape), and a fingerprint of their content."""

    column: Column
    values: Array
    fingerprint: str

    def read(self, indices: Sequence[int] | Array) -> Tensor:
        """The items at these indices, unpacked."""
        return self.column.unpack(self.values[np.asarray(indices, dtype=np.int64)])


def workers() -> int:
    """Threads for decoding."""
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


def home() -> Path:
    """The cache's folder: $MTLBENCH_CACHE, or ~/.cache/mtlbench, or a user's own temporary folder where there is no home.

    Raises ConfigError where $MTLBENCH_CACHE is no path.
    """
    named = os.environ.get("MTLBENCH_CACHE")
    if named:
        return Path(given_path(named, "MTLBENCH_CACHE")).absolute()
    try:
        user = Path.home()
    except RuntimeError:  # neither $HOME nor an entry in the table of users
        return temporary()
    return user / ".cache" / "mtlbench" if user.is_absolute() else temporary()


def temporary() -> Path:
    """A folder for this user alone under the system's temporary one; DataError where somebody else made it."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    place = Path(tempfile.gettempdir()) / f"mtlbench-{user}"
    with suppress(FileExistsError):
        place.mkdir(mode=0o700, parents=True)
    found = place.lstat()
    if not stat.S_ISDIR(found.st_mode) or (hasattr(os, "getuid") and found.st_uid != user):
        raise DataError(f"'{place}' belongs to somebody else (set MTLBENCH_CACHE to a folder of your own)")
    return place


def load(column: Column, root: Path, name: str) -> Stored:
    """The column of data set `name` under `root` from the cache, built first where it is missing, stale or damaged.

    A complete cache that may only be read (another user's) is read. Raises DataError where a source is damaged or the cache
    cannot be written.
    """
    key = f"{name}\n{root.resolve()}\n{column.name}\n{column.settings}\n{column.dtype} {column.shape}"
    place = home() / f"{name}-{hashlib.sha256(os.fsencode(key)).hexdigest()[:16]}"
    source = _state(column, root)
    try:
        stored = _locked(place, column, source)
    except OSError as error:
        # What may not be written may still be read: a build appears whole or not at all.
        stored = _open(place, column, source) if error.errno in _READ_ONLY else None
        if stored is None:
            hint = "set MTLBENCH_CACHE to a folder with room, and of your own"
            raise DataError(f"cannot keep '{column.name}' in '{place}': {error.strerror or error} ({hint})") from error
    if stored is None:
        raise DataError(f"the cache '{place}' was damaged as soon as it was written: is the disk sound?")
    return stored


def _locked(place: Path, column: Column, source: str) -> Stored | None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        stored = _open(place, column, source)
        if stored is None:
            _build(place, column, source)
            stored = _open(place, column, source)
        return stored


def _state(column: Column, root: Path) -> str:
    """A hash of what the file system says of the sources: whether they changed, without reading them.

    Sizes and times of writing may be set by anybody (a copy keeps them); the time of change and the file's number tell
    another content under the same two.
    """
    digest = hashlib.sha256(f"{VERSION}".encode())
    for path in column.sources:
        digest.update(os.fsencode(path.relative_to(root)))
        try:
            status = path.stat()
        except OSError as error:
            if column.blank and isinstance(error, FileNotFoundError):
                digest.update(b"\0absent\n")
                continue
            raise DataError(f"'{path}': {error.strerror} (expected: a file)") from error
        said = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev)
        digest.update(f"\0{said}\n".encode())
    return digest.hexdigest()


def _open(place: Path, column: Column, source: str) -> Stored | None:
    """The column as cached; None where there is none, it is of another source, or damaged."""
    try:
        meta = json.loads((place / "meta.json").read_text())
        older = meta.keys() == {"source", "fingerprint", "check", "name"}
        if meta["source"] != source or meta["check"] != _check(place / "data.npy"):
            return None
        if not older and meta["seal"] != _seal(meta["fingerprint"]):
            return None
        values = np.load(place / "data.npy", mmap_mode="r", allow_pickle=False)
        if values.shape != (column.count, *column.shape) or values.dtype != np.dtype(column.dtype):
            return None
        return Stored(column, values, str(meta["fingerprint"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _build(place: Path, column: Column, source: str) -> None:
    draft = place.with_name(
        f"{place.name}.draft"
    )  # ours alone while we hold the lock; a killed builder may have left one
    for old in (draft, place):
        shutil.rmtree(old, ignore_errors=True)
    draft.mkdir()
    try:
        with (draft / "data.npy").open("wb") as file:
            fingerprint = _write(file, column)
        meta = {"source": source, "fingerprint": fingerprint, "check": _check(draft / "data.npy"), "name": column.name}
        meta["seal"] = _seal(fingerprint)
        (draft / "meta.json").write_text(json.dumps(meta))
        draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(file: IO[bytes], column: Column) -> str:
    """All rows after a .npy header, and their fingerprint. Plain writes: a full disk is an error, not a bus error."""
    shape = (column.count, *column.shape)
    header: dict[str, Any] = {"descr": np.dtype(column.dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    digest = column.digest()
    for row in column.packed():
        file.write(row)
        digest.update(row)
    return digest.hexdigest()


def _seal(fingerprint: str) -> str:
    """A checksum of a fingerprint: one changed bit would give runs another name."""
    return f"{zlib.crc32(fingerprint.encode()):08x}"


def _check(path: Path) -> str:
    """Size and checksum of a file: of all of it, or of BLOCKS blocks spread over a large one."""
    size = path.stat().st_size
    step = max(BLOCK, (size - BLOCK) // (BLOCKS - 1)) if size > BLOCK * BLOCKS else BLOCK
    checksum = 0
    with path.open("rb") as file:
        for start in range(0, size, step):
            file.seek(start)
            checksum = zlib.crc32(file.read(BLOCK), checksum)
    return f"{size}:{checksum:08x}"
