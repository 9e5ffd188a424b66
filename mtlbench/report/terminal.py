"""The report in a terminal: a table a study, cut to the terminal's width, and what must be known before believing it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markup import escape
from rich.table import Table

from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, SCORE, Aggregate, Line, mean, primary
from mtlbench.report.analysis.statistics import EMPTY
from mtlbench.report.page.answers import QUESTION
from mtlbench.report.page.overall import headline, known, unknown
from mtlbench.report.tables import words
from mtlbench.report.tables.formats import Cell, Column
from mtlbench.report.tables.header import title
from mtlbench.report.tables.naming import metric_column
from mtlbench.report.tables.study import status_notes

if TYPE_CHECKING:
    from mtlbench.report.report import Report

SHOWN = 12  # studies printed; the rest is on the page
NAME = 36  # characters of a method's name in one line
GAP = 2  # between columns: one of padding, one of the box


def terminal(report: Report) -> list[Any]:
    """Renderables for rich: a table a study with its warnings, then everything that could not be read."""
    found: list[Any] = []
    for i, result in enumerate(report.aggregates[:SHOWN]):
        found += [*[""] * (i > 0), f"[bold]{escape(title(result.study))}[/bold]", _table(result), *_notes(result)]
    if len(report.aggregates) > SHOWN:
        found.append(f"and {len(report.aggregates) - SHOWN} more studies, in {escape(str(report.out / 'index.html'))}")
    found += _answer(report) if report.aggregates else [report.without]
    return found + [f"[yellow]warning:[/yellow] {escape(w)}" for w in report.warnings]


def _answer(report: Report) -> list[str]:
    """The page's first sentences: what is known over all studies, and what is not."""
    first = headline(report.overview)
    told = [f"[bold]{QUESTION}[/bold]", escape(first)]
    told += [f"[green]known:[/green] {escape(s)}" for s in known(report.overview) if s != first]
    return ["", *told, *(f"[yellow]not known:[/yellow] {escape(s)}" for s in unknown(report.overview))]


@dataclass(frozen=True)
class ColumnBlocks:
    """Columns (head of several lines, cells) beside the names; those that do not fit follow below, under the names again."""

    names: tuple[str, ...]
    columns: tuple[tuple[str, tuple[str, ...]], ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As many tables as the width needs."""
        for part in self.cut(options.max_width) if self.names else ():
            table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, GAP - 1, 0, 0), show_edge=False)
            table.add_column("method", vertical="bottom", max_width=self.name_width(options.max_width), overflow="fold")
            for head, _ in part:
                table.add_column(escape(head), justify="right", vertical="bottom", no_wrap=True)
            for name, *cells in zip(self.names, *(cells for _, cells in part), strict=True):
                table.add_row(escape(name), *map(escape, cells))
            yield table
            yield ""

    def name_width(self, width: int) -> int:
        """Of the first column: a long name takes a second line before it takes half of a narrow terminal."""
        return min(max(width // 3, 16), NAME, max(map(cell_len, ("method", *self.names))))

    def cut(self, width: int) -> Iterator[list[tuple[str, tuple[str, ...]]]]:
        """The columns, cut so that each part is at most so wide; none is left empty."""
        start = self.name_width(width) + GAP
        part: list[tuple[str, tuple[str, ...]]] = []
        room = width - start
        for column in self.columns:
            needed = max(map(cell_len, (*column[0].split("\n"), *column[1]))) + GAP
            if part and needed > room:
                yield part
                part, room = [], width - start
            part.append(column)
            room -= needed
        yield part


def _table(result: Aggregate) -> ColumnBlocks:
    lines = [line for line in result.lines if line.row.runs]
    columns = []
    for head, column, key in _columns(result):
        columns.append((head, tuple(Cell(_value(line, key)).show(column) for line in lines)))
    return ColumnBlocks(tuple(line.label for line in lines), tuple(columns))


def _columns(result: Aggregate) -> Iterator[tuple[str, Column, tuple[str, str]]]:
    """What all tasks come to and cost, then each task's primary metric."""
    yield "Δ\n(%) ↑", Column("delta", "Δ", "", "%", True, 1, True), DELTA_PRIMARY
    yield "mean\nskill ↑", Column("score", "mean skill", "", "", True, 3), SCORE
    yield "backbone\n×", Column("parameters_ratio", "backbone ×", "", "", None, 2), ("cost", "parameters_ratio")
    yield "\nMACs", Column("macs", "MACs", "", "", None, prefix=True), ("cost", "macs")
    for task in result.study.tasks:
        if metric := primary(task):
            column = metric_column(task, metric)
            yield f"{column.group}\n{column.title}", column, (task.name, metric.name)


def _value(line: Line, key: tuple[str, str]) -> Any:
    kind, name = key
    return line.costs.get(name, EMPTY) if kind == "cost" else mean(line.series(key))


def _notes(result: Aggregate) -> list[str]:
    """The runs that are not in the table, and what is true of those that are."""
    lost = [(f"{x.label}, seed {s}", why) for x in result.lines for s, why in sorted(x.row.lost.items())]
    found = [f"[red]not counted:[/red] {escape(run)}: {escape(why)}" for run, why in lost]
    seeds = len(result.study.seeds)
    selection = result.study.config.get("selection", "last")
    spread = " (± their standard deviation)" if seeds > 1 else ""
    found.append(escape(f"{seeds} seed{'s' if seeds != 1 else ''}{spread}, selection {selection}"))
    notes = [words.ONE_SEED] if seeds == 1 else []
    return found + [f"[yellow]note:[/yellow] {escape(note)}" for note in (*notes, *status_notes(result))]
