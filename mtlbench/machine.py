"""The machine: what its processor is called, and its memory kept by the process. Loads nothing heavy."""

from __future__ import annotations

import ctypes
import platform
import sys
from functools import cache
from pathlib import Path


@cache
def processor() -> str:
    """The processor's model as the system names it; "unknown" where it does not."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt's parameters, <malloc.h>
_KEPT = 2**28, 2**30  # bytes: blocks above the first go back to the system at once, free memory above the second too


@cache
def keep_memory() -> bool:
    """Let glibc keep freed blocks of up to 256 MiB for the next step; False where the C library is another one.

    By default it gives blocks of 32 MiB and more back to the system after every use, and the system clears their pages
    again: some 10 % of a training step with 40 classes at 96x128 pixels. No result depends on it.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    largest, free = _KEPT
    return bool(mallopt(_MMAP_THRESHOLD, largest) and mallopt(_TRIM_THRESHOLD, free))
