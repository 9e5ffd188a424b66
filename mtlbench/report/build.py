"""From a results folder to its tables, figures and page: everything is written from records, and only what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtlbench.report.analysis import ranking
from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.datasets import OverDatasets
from mtlbench.report.analysis.ranking import Ranking
from mtlbench.report.disk import Disk
from mtlbench.report.report import Report, read, uncollected
from mtlbench.report.tables import formats
from mtlbench.report.tables.comparisons import rank_table
from mtlbench.report.tables.header import header, title
from mtlbench.report.tables.overview import effects_table, overview_table
from mtlbench.report.tables.sections import sections
from mtlbench.report.tables.study import all_tables
from mtlbench.report.text import clean, markdown

if TYPE_CHECKING:
    from mtlbench.report.plots.figures import Figure


KINDS = ("csv", "tex")


def write(results: Path, out: Path | None = None) -> Report:
    """Write tables, figures and the page of a results folder under `out` (by default into the folder itself)."""
    from mtlbench.report.page import page  # matplotlib and the templates are loaded only where they are needed
    from mtlbench.report.plots.figures import figures as all_figures

    report = read(results, out)
    disk = Disk(report.out)
    with uncollected():
        tables, rankings = _all_tables(disk, report)
        figures = all_figures(report.aggregates, rankings, report.fronts, report.sweeps)
    disk.announce(f"figures/{f.name}.{suffix}" for f in figures for suffix in f.suffixes)
    for figure in figures:
        _figure(disk, figure)
    with uncollected():
        page.write(disk, report, tables, figures, rankings)
    disk.finish()
    report.files = sorted(disk.files)
    return report


def write_tables(results: Path, out: Path) -> Report:
    """Write the tables alone, and remove nothing."""
    report = read(results, out)
    disk = Disk(report.out)
    _all_tables(disk, report)
    report.files = sorted(disk.files)
    return report


def _all_tables(disk: Disk, report: Report) -> tuple[dict[str, list[formats.Table]], list[Ranking]]:
    tables = {r.study.name: all_tables(r) for r in report.aggregates}
    disk.announce(f"tables/{study}.md" for study in tables)
    disk.announce(f"tables/{study}-{t.name}.{kind}" for study, some in tables.items() for t in some for kind in KINDS)
    for result in report.aggregates:
        _tables(disk, result, tables[result.study.name])
    if report.overview.names:
        _across(disk, "overview", "All studies", [], overview_table(report.overview))
    for effects in report.overview.over:
        _across(disk, effects.name, effects.title, _sets(effects), effects_table(effects))
    for section in sections(report):
        _across(disk, section.name, section.title, section.said, section.table)
    rankings = ranking.rankings(report.aggregates)
    for found in rankings:
        _across(disk, found.name, found.title, _sets(found), rank_table(found.ranks))
    return tables, rankings


def _tables(disk: Disk, result: Aggregate, tables: Sequence[formats.Table]) -> None:
    """A study's tables: one Markdown file, and a CSV and a LaTeX file a table."""
    warnings = [*result.study.warnings, *result.test.problems]
    above = header(result)
    disk.put(f"tables/{result.study.name}.md", document(title(result.study), above, tables, warnings))
    lines = [title(result.study), *(f"{label}: {text}" for label, text in above)]
    for table in tables:
        disk.put(f"tables/{result.study.name}-{table.name}.csv", formats.to_csv(table))
        disk.put(f"tables/{result.study.name}-{table.name}.tex", formats.to_latex(table, lines))


def document(
    name: str, above: Iterable[tuple[str, str]], tables: Iterable[formats.Table], warnings: Iterable[str] = ()
) -> str:
    """A study's Markdown file."""
    lines = "".join(f"- {label}: {_code(text) if label == 'Command' else markdown(text)}\n" for label, text in above)
    notes = "".join(f"\n> Warning: {markdown(w)}\n" for w in warnings)
    body = "\n".join(formats.to_markdown(t) for t in tables)
    return f"## {markdown(name)}\n\n{lines}{notes}\n{body}"


def _code(text: str) -> str:
    return f"`{text}`" if "`" not in text else markdown(text)


def _sets(found: Ranking | OverDatasets) -> list[tuple[str, str]]:
    """What stands above a table over data sets."""
    left_out = ", ".join(found.left_out) or "none"
    said = [("Data sets", ", ".join(found.datasets)), ("Left out, not in all of them", left_out)]
    return [(name, clean(text, 2000)) for name, text in said]


def _across(disk: Disk, name: str, heading: str, said: list[tuple[str, str]], table: formats.Table) -> None:
    """A table over several studies."""
    disk.put(f"tables/{name}.md", document(heading, said, [table]))
    disk.put(f"tables/{name}.csv", formats.to_csv(table))
    disk.put(f"tables/{name}.tex", formats.to_latex(table, [heading, *(f"{k}: {v}" for k, v in said)]))


def _figure(disk: Disk, figure: Figure) -> None:
    """Draw a figure if its data changed."""
    if not disk.unchanged(figure.name, figure.hash, figure.suffixes):
        for suffix, data in figure.draw().items():
            disk.put(f"figures/{figure.name}.{suffix}", data)
