"""The report and the comparison, written and printed: from records alone, without torch."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

from mtlbench.cli.acts.figures import as_json, of_comparison, of_report
from mtlbench.report import build
from mtlbench.report.compare import compare as compared
from mtlbench.report.events import need, write_events
from mtlbench.report.recommend import limits, recommend
from mtlbench.report.report import Report
from mtlbench.report.terminal import terminal

__all__ = ["compare", "curves", "limits", "need", "report", "write_report"]
PLAIN_WIDTH = 200  # characters of a table that no terminal limits
Limits = tuple[str | None, str | None, str | None]
"""Of parameters, multiply-adds and latency, as the command line has them."""


def report(results: str, out: str, within: Limits, json: bool) -> None:
    """Write the report of a results folder and print its table, or every figure as JSON; with limits, who is best."""
    wanted = limits(*within)
    if json:
        print(as_json(of_report(build.write(Path(results), Path(out)))))
        return
    written = write_report(results, out)
    if wanted:
        print("\n" + recommend(written, *within).text())


def write_report(results: str, out: str) -> Report:
    """Write the report of a results folder and print its table."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    written = build.write(Path(results), Path(out))
    console.print(*terminal(written), sep="\n")
    print(f"the whole report: {Path(out) / 'index.html'}")
    return written


def curves(results: str, folder: str, swept: bool) -> str:
    """Write every run's curves as event files; a line that says how to look at them. `need` says before if it will fail."""
    count = len(write_events(Path(results), Path(folder), swept))
    return f"curves of {count} runs: tensorboard --logdir {shlex.quote(folder)}"


def compare(first: str, second: str, tolerance: float, json: bool) -> bool:
    """Print what changed between two results folders; whether something became worse."""
    found = compared(first, second, tolerance)
    print(as_json(of_comparison(found)) if json else found.text())
    return bool(found.regressed)
