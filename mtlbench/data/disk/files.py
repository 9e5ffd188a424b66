"""Reading helpers of the data sets: a damaged, missing or unexpected file is one DataError that names it.

Headers are judged before anything is allocated, pickles are never loaded, and no listed path leaves the data folder.
"""

from __future__ import annotations

import json
import os
import threading
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np

from mtlbench.errors import DataError, one_line

Array = np.ndarray[Any, np.dtype[Any]]

_PARSING = threading.Lock()  # numpy parses headers by `ast`, which can fail where threads switch inside it (gh-106905)
MAX_PIXELS = 1 << 26
MAX_TEXT = 1 << 28  # bytes of a list
MAX_LINE = 1 << 24
MAX_PATH = 1024
MAX_NAME = 255  # bytes, in all file systems
_KINDS = {"f": "real", "i": "integer", "u": "unsigned integer", "b": "boolean"}


def bad(path: Path, given: str, expected: str) -> NoReturn:
    """Raise the one kind of error a reader knows."""
    raise DataError(f"'{path}': {given} (expected: {expected})")


def folder(root: Path | None, name: str, expected: str) -> Path:
    """The data folder; DataError where none was named or it does not exist."""
    if root is None:
        raise DataError(f"data set '{name}' needs its folder: --data-dir DIR (expected: {expected})")
    if not root.is_dir():
        bad(root, "no such folder", f"{name}'s data, {expected}")
    return root


def inside(root: Path, relative: object, listing: Path) -> Path:
    """The file a list names, as a path under `root`; whether it exists is not looked at."""
    if not isinstance(relative, str) or not 0 < len(relative) <= MAX_PATH or not _nameable(relative):
        bad(listing, f"names {str(relative)[:80]!r}", "paths relative to its folder")
    if any(len(part) > MAX_NAME for part in os.fsencode(relative).split(b"/")):
        bad(listing, f"names '{relative[:80]}': File name too long", f"names of up to {MAX_NAME} bytes")
    clean = os.path.normpath(relative)
    if os.path.isabs(clean) or clean.split(os.sep)[0] == "..":
        bad(listing, f"names '{relative[:200]}', which lies outside the folder", "paths relative to its folder")
    return root / clean


def _nameable(relative: str) -> bool:
    """Whether a path has no NUL and no half characters, as a file system's have."""
    try:
        return b"\0" not in os.fsencode(relative)
    except ValueError:
        return False


def require(path: Path, expected: str) -> Path:
    """`path` if it is a file."""
    try:
        found = path.is_file()
    except OSError as error:
        raise DataError(f"'{path}': {error.strerror} (expected: {expected})") from error
    if not found:
        bad(path, "no such file", expected)
    return path


def opened(path: Path, expected: str) -> IO[bytes]:
    """A file's bytes, to be read."""
    try:
        return require(path, expected).open("rb")
    except OSError as error:
        raise DataError(f"'{path}': {error.strerror} (expected: {expected})") from error


def contents(path: Path, most: int, expected: str) -> bytes:
    """A whole file of at most so many bytes."""
    with opened(path, expected) as file:
        data = file.read(most + 1)
    if len(data) > most:
        bad(path, f"more than {most} bytes", expected)
    return data


def load_json(path: Path, expected: str) -> Any:
    """A JSON file's content."""
    try:
        return json.loads(contents(path, MAX_TEXT, expected))
    except (ValueError, RecursionError) as error:
        raise DataError(f"'{path}': not JSON, {one_line(error)} (expected: {expected})") from error


def groups(path: Path, content: Any, key: str, width: int) -> list[list[Any]]:
    """The list `key` of a JSON listing: groups of `width` paths."""
    expected = f'{{"{key}": [[{width} paths], ...]}}'
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        bad(path, f"no list '{key}'", expected)
    rows: list[Any] = content[key]
    for row in rows:
        if not isinstance(row, list) or len(row) != width:
            bad(path, f"'{key}' holds {str(row)[:120]}", expected)
    if not rows:
        bad(path, f"list '{key}' is empty", expected)
    return rows


def array(path: Path, kinds: str, *shapes: tuple[int | None, ...]) -> Array:
    """A .npy file's array: its dtype's kind is one of `kinds`, its shape one of `shapes` (None: any length)."""
    wanted = " or ".join("x".join("?" if n is None else str(n) for n in shape) for shape in shapes)
    what = f"a {wanted} .npy array of {' or '.join(_KINDS[k] for k in kinds)} numbers"
    with opened(path, what) as file:
        try:
            header = _npy_header(file)
            start = file.tell()
            left = os.fstat(file.fileno()).st_size - start
        except Exception as error:  # the bytes may be anything
            raise DataError(f"'{path}': no .npy array, {_short(error)} (expected: {what})") from error
        given, fortran, dtype = header
        if dtype.kind not in kinds:
            bad(path, f"dtype {dtype}", what)
        if not any(_fits(given, shape) for shape in shapes):
            bad(path, f"shape {'x'.join(map(str, given)) or 'of a scalar'}", what)
        count = int(np.prod([int(n) for n in given], dtype=object))
        if count * dtype.itemsize != left:
            bad(path, f"{left} bytes where its header promises {count * dtype.itemsize}", what)
        values = np.frombuffer(file.read(left), dtype)
    return values.reshape(given[::-1]).T if fortran else values.reshape(given)


def _fits(given: tuple[int, ...], shape: tuple[int | None, ...]) -> bool:
    return len(given) == len(shape) and all(w is None or g == w for g, w in zip(given, shape, strict=True))


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"format version {version}")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with _PARSING:
        shape, fortran, dtype = read(file)
    if dtype.hasobject or dtype.fields is not None or dtype.itemsize == 0:
        raise ValueError(f"dtype {dtype}")
    if any(n < 0 for n in shape):
        raise ValueError(f"shape {shape}")
    return shape, fortran, dtype


def _short(error: BaseException) -> str:
    return one_line(error)[:200]


def numbered(place: Path, suffix: str) -> list[Path]:
    """The files `<i><suffix>` of a folder in the order of their numbers; DataError where there is none."""
    if not place.is_dir():
        bad(place, "no such folder", f"<number>{suffix} files")
    files = [p for p in place.iterdir() if p.suffix == suffix and p.stem.isascii() and p.stem.isdigit()]
    if not files:
        bad(place, "empty", f"<number>{suffix} files")
    return sorted(files, key=lambda p: (int(p.stem), p.name))


@contextmanager
def hdf5(path: Path, expected: str) -> Iterator[Any]:
    """An open HDF5 file; whatever goes wrong while it is read is a DataError."""
    import h5py

    require(path, expected)
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DataError:
        raise
    except Exception as error:  # h5py raises of every kind on damaged files
        raise DataError(f"'{path}': no readable HDF5 content, {_short(error)} (expected: {expected})") from error


def lines(path: Path, expected: str, keep_ends: bool = False) -> Iterator[str]:
    """A text file's lines as they are read, without a byte-order mark before the first.

    Bytes that are not UTF-8 become replacement characters; null bytes are errors.
    """
    with opened(path, expected) as file:
        if file.read(len(BOM_UTF8)) != BOM_UTF8:
            file.seek(0)
        while raw := file.readline(MAX_LINE + 1):
            if len(raw) > MAX_LINE:
                bad(path, f"a line of more than {MAX_LINE} bytes", expected)
            if b"\0" in raw:
                bad(path, "binary content", expected)
            text = raw.decode("utf-8", errors="replace")
            yield text if keep_ends else text.rstrip("\r\n")
