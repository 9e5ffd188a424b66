"""How fast a data set loads: `python -m mtlbench.data.speed NAME DIR` prints a row of docs/datasets.md.

Cold is decoding every item into an empty cache; cached is drawing augmented training batches on one thread; opening is
what every run pays. Times are the process's own seconds of CPU, so that a busy machine does not change them. Peak memory
is the process's own (anonymous) memory above what the imports took, sampled every 10 ms.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import torch

from mtlbench import plugins
from mtlbench.data.base import Dataset, draw_batch

BATCH = 8
SECONDS = 5.0


def anonymous() -> int:
    """This process's anonymous memory in bytes: mapped cache files are not in it (0 where /proc tells nothing)."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon")), 0)


class Peak:
    """The highest anonymous memory of a stretch of work."""

    def __enter__(self) -> Peak:
        self.before = self.highest = anonymous()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._stop.wait(0.01):
            self.highest = max(self.highest, anonymous())

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def mebibytes(self) -> float:
        """Above the start."""
        return (self.highest - self.before) / 2**20


def opened(name: str, folder: str) -> tuple[Dataset, float]:
    """The data set under its default options, and the seconds of CPU it took, all threads together."""
    kind = plugins.load("datasets", name)
    start = time.process_time()
    return kind(kind.Options(), Path(folder), None), time.process_time() - start


def draws(data: Dataset) -> float:
    """Augmented training items a second, streams in turn."""
    start, items, draw = time.process_time(), 0, 0
    while (spent := time.process_time() - start) < SECONDS:
        for stream in data.streams:
            items += len(draw_batch(data, 0, "train", stream, draw, BATCH).inputs)
        draw += 1
    return items / spent


def main(name: str, folder: str) -> None:
    """Measure, and print the row."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        os.environ["MTLBENCH_CACHE"] = home
        with Peak() as cold:
            data, first = opened(name, folder)
        items = sum(data.size(split, stream) for split in ("train", "test") for stream in data.streams)
        _, again = opened(name, folder)
        with Peak() as warm:
            speed = draws(data)
        stored = sum(p.stat().st_size for p in Path(home).rglob("*.npy"))
    row = (
        name, f"{items}", f"{items / first:.0f}", f"{speed:.0f}", f"{1000 * BATCH / speed:.1f}", f"{again:.2f}",
        f"{stored / 2**20:.0f}", f"{cold.mebibytes:.0f}", f"{warm.mebibytes:.0f}",
    )  # fmt: skip
    print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python -m mtlbench.data.speed NAME DIR")
    main(*sys.argv[1:])
