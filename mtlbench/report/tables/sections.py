"""What stands on the page over several studies that were run as points of one sweep, each part with its table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mtlbench.report.report import Report
from mtlbench.report.tables.formats import Table
from mtlbench.report.tables.fronts import front_said, front_title, points_table, reach_table
from mtlbench.report.tables.sweeps import sweep_said, sweep_table, sweep_title


@dataclass(frozen=True)
class Section:
    """A part of the page: `name` is that of its files, and of its figure where it has one; `said` stands above the table."""

    name: str
    title: str
    said: list[tuple[str, str]]
    table: Table


def sections(report: Report) -> Iterator[Section]:
    """Every front over the tasks' weights (what is reached, and every point), and every sweep over one number."""
    for front in report.fronts:
        name, title, said = front.name, front_title(front), front_said(front)
        reach, points = reach_table(front), points_table(front)
        if reach.rows:
            yield Section(name, title, said, reach)
            yield Section(f"{name}-points", f"{title}: every point", said, points)
        else:
            yield Section(name, title, said, points)
    for sweep in report.sweeps:
        yield Section(sweep.name, sweep_title(sweep), sweep_said(sweep), sweep_table(sweep))
