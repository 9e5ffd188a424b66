"""How long the report takes on many records, and how much memory: python -m tests.report.measure FOLDER

FOLDER is written first if it is not there: 20 methods x 10 data sets x 50 seeds.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

BLANK = {"png": b"", "svg": b"<svg/>", "narrow.svg": b"<svg/>"}


def main(folder: Path) -> None:
    """Tables and page with figures left blank, then the figures, then once more with nothing changed."""
    if not folder.exists():
        from tests.helpers import synthetic

        synthetic.many(folder, 20, 10, 50)
    wall, work = time.perf_counter(), time.process_time()

    def told(what: str) -> None:
        nonlocal wall, work
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        seconds, cpu = time.perf_counter() - wall, time.process_time() - work
        print(f"{what}: {seconds:.1f} s ({cpu:.1f} s of one core), peak memory {memory:.0f} MiB", flush=True)
        wall, work = time.perf_counter(), time.process_time()

    with tempfile.TemporaryDirectory() as out:
        from mtlbench.report import build

        with patch("mtlbench.report.plots.figures.Figure.draw", lambda self: BLANK):
            report = build.write(folder, Path(out))
        told(f"tables and page of {len(report.runs):,} records")
        from mtlbench.report.analysis import ranking
        from mtlbench.report.plots import figures as plots

        figures = plots.figures(report.aggregates, ranking.rankings(report.aggregates))
        for figure in figures:
            figure.draw()
        told(f"{len(figures)} figures")
        page = Path(out) / "index.html"
        print(f"index.html {page.stat().st_size / 2**20:.1f} MiB, {len(report.files)} files")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
