"""The report in a terminal: a table a study, and what must be known before believing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rich.markup import escape
from rich.table import Table

from mtlbench.report import words
from mtlbench.report.aggregate import DELTA, Aggregate, Line, mean, primary
from mtlbench.report.formats import Cell, Column
from mtlbench.report.header import title
from mtlbench.report.naming import metric_column
from mtlbench.report.statistics import EMPTY
from mtlbench.report.tables import status_notes

if TYPE_CHECKING:
    from mtlbench.report.build import Report

SHOWN = 12  # studies printed; the rest is on the page


def terminal(report: Report) -> list[Any]:
    """Renderables for rich: a table a study with its warnings, then everything that could not be read."""
    found: list[Any] = []
    for result in report.aggregates[:SHOWN]:
        found += [_table(result), *_notes(result)]
    if len(report.aggregates) > SHOWN:
        found.append(f"and {len(report.aggregates) - SHOWN} more studies, in {escape(str(report.out / 'index.html'))}")
    if not report.aggregates:
        found.append("no records yet")
    return found + [f"[yellow]warning:[/yellow] {escape(w)}" for w in report.warnings]


def _table(result: Aggregate) -> Table:
    seeds = len(result.study.seeds)
    caption = f"{seeds} seed{'s' if seeds != 1 else ''}, selection {result.study.config.get('selection', 'last')}"
    table = Table(
        title=escape(title(result.study)), caption=escape(caption), title_justify="left", caption_justify="left"
    )
    table.add_column("method")
    columns = list(_columns(result))
    for column, _ in columns:
        table.add_column(escape(f"{column.group} {column.title}".strip()), justify="right")
    for line in result.lines:
        shown = [escape(Cell(_value(line, key)).show(column)) for column, key in columns]
        if line.row.runs:
            table.add_row(escape(line.label), *shown)
        for seed, reason in sorted(line.row.lost.items()):
            table.add_row(escape(f"{line.label}, seed {seed}"), f"[red]{escape(reason)}[/red]")
    return table


def _columns(result: Aggregate) -> Iterator[tuple[Column, tuple[str, str]]]:
    for task in result.study.tasks:
        if metric := primary(task):
            yield metric_column(task, metric), (task.name, metric.name)
            yield Column("skill", "skill", "", "", None, 2), (task.name, "skill")
    yield Column("delta", "Δ", "", "%", True, 1, True), DELTA
    yield Column("parameters_ratio", "backbone ×", "", "", None, 2), ("cost", "parameters_ratio")
    yield Column("macs", "MACs", "", "", None, prefix=True), ("cost", "macs")


def _value(line: Line, key: tuple[str, str]) -> Any:
    task, name = key
    if name == "skill":
        return mean(line.skill.get(task, {}))
    return line.costs.get(name, EMPTY) if task == "cost" else mean(line.series(key))


def _notes(result: Aggregate) -> list[str]:
    notes = [words.ONE_SEED] if len(result.study.seeds) == 1 else []
    return [f"[yellow]note:[/yellow] {escape(note)}" for note in (*notes, *status_notes(result))]
