"""The arrays that runs keep beside their records (.npz), opened with care: no pickles, and no more than was agreed."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

BROKEN = (OSError, ValueError, LookupError, TypeError, MemoryError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading a file that somebody else wrote may raise."""


@contextmanager
def arrays(path: Path, limit: int) -> Iterator[Any]:
    """The arrays of a file that unpacks to at most `limit` bytes; one of BROKEN where it is no such file."""
    with zipfile.ZipFile(path) as archive:
        if sum(info.file_size for info in archive.infolist()) > limit:
            raise ValueError("too large")
    with np.load(path, allow_pickle=False) as found:
        yield found
