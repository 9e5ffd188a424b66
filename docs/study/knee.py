"""What twice the training is worth, by method: python docs/study/knee.py results/knee

The validation score at the end of runs of different length, with its standard error over the validation images, and how
much it rose since the run of half the length. Past the knee is where that is less than one standard error.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from tabulate import tabulate

from mtlbench.records import read_run

Point = tuple[str, int, float, float]
"""Method, steps asked for, score, its standard error."""


def points(folder: Path) -> Iterator[Point]:
    """Every finished run's, by method and steps."""
    runs = [read_run(path.parent) for path in (folder / "records").glob("*/record.jsonl")]
    for run in sorted(runs, key=lambda r: (r.start.method, r.start.config["steps"])):
        final = run.final("val")
        if run.status == "finished" and final is not None and final.gain is not None:
            yield run.start.method, int(run.start.config["steps"]), final.gain, float(final.gain_error or 0)


def table(folder: Path) -> str:
    """Markdown: a row a run."""
    found = {(method, steps): (score, error) for method, steps, score, error in points(folder)}
    rows = []
    for (method, steps), (score, error) in found.items():
        half = found.get((method, steps // 2))
        rows.append((method, steps, f"{score:.3f}", f"{error:.3f}", f"{score - half[0]:+.3f}" if half else ""))
    headers = ("method", "steps", "score", "its error", "since half")
    align = ("left", *["right"] * 4)
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=align)


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
