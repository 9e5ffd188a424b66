"""Hours of one core that the study took: python docs/study/hours.py results results/knee results/weights

A row for each method of each cell and commit: its trials and its runs, how many and how many minutes one took, and their
hours together, by `processor_seconds` in the records of the results folders named.
"""

import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

from tabulate import tabulate

from mtlbench.records.reading import Run, read_all

Group = dict[str, list[float]]  # "tune" or "study" -> seconds of each run


def row_of(run: Run) -> tuple[str, str, str]:
    """The cell whose file its command names, the commit of the code that ran it, and the method."""
    found = re.search(r"docs/study/(\w+)\.yaml", run.start.command)
    return found[1] if found else "", str(run.start.environment.get("commit", ""))[:7], run.start.method


def groups(folders: list[Path]) -> dict[tuple[str, str, str], Group]:
    """Seconds of every finished run, by row and by what it was for; a control counts as a run."""
    found: dict[tuple[str, str, str], Group] = defaultdict(lambda: {"tune": [], "study": []})
    for folder in folders:
        for run in read_all(folder)[0]:
            if run.end and run.end.processor_seconds is not None:
                found[row_of(run)]["tune" if run.start.role == "tune" else "study"].append(run.end.processor_seconds)
    return found


def table(*folders: Path) -> str:
    """Markdown."""
    rows = []
    for key, group in sorted(groups(list(folders)).items()):
        each = (x for s in group.values() for x in ((len(s), f"{mean(s) / 60:.1f}") if s else ("", "")))
        rows.append((*key, *each, f"{sum(map(sum, group.values())) / 3600:.2f}"))
    heads = ("cell", "commit", "method", "trials", "minutes each", "runs", "minutes each", "hours")
    align = ("left",) * 3 + ("right",) * 5
    return tabulate(rows, heads, tablefmt="pipe", disable_numparse=True, colalign=align)


if __name__ == "__main__":
    print(table(*map(Path, sys.argv[1:])))
