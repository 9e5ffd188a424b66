"""Tables over several studies: every method's Delta in each of them, and the effects over data sets."""

from __future__ import annotations

from mtlbench.report.analysis.aggregate import Aggregate, mean
from mtlbench.report.analysis.datasets import OverDatasets
from mtlbench.report.analysis.merit import merit, worth
from mtlbench.report.analysis.overview import Overview
from mtlbench.report.analysis.statistics import EMPTY, Span, Summary
from mtlbench.report.tables import words
from mtlbench.report.tables.comparisons import p_text
from mtlbench.report.tables.formats import BETTER, WORSE, Cell, Column, Table
from mtlbench.report.tables.header import title
from mtlbench.report.tables.naming import of_seeds


def overview_table(overview: Overview) -> Table:
    """Rows are methods, columns studies: Delta with its interval, marked where it differs from hard sharing."""
    rows = [(name, [_cell(overview, r, name) for r in overview.results]) for name in overview.names]
    tested = sum(t.p == t.p for t in overview.tests.values())
    over = f"the {tested} comparisons" if tested > 1 else "the one comparison"
    renamed = any(name != line.label for own in overview.lines.values() for name, line in own.items())
    marks = words.OVERVIEW_MARKS.format(over=over) if tested else ""
    notes = [words.OVERVIEW + marks + words.NAMED * renamed]
    columns = [_column(r) for r in overview.results]
    measures = [m for m in ("Δ over single-task", "mean skill") if any((c.unit == "%") == ("Δ" in m) for c in columns)]
    return Table("overview", f"All studies: {', or '.join(measures)}", columns, rows, notes)


def _column(result: Aggregate) -> Column:
    delta = merit(result) == "Δ"
    seeds = len(result.study.seeds)
    head = f"{title(result.study)}, {'one seed' if seeds == 1 else f'{seeds} seeds'}{'' if delta else ', mean skill'}"
    return Column(result.study.name, head, "", "%" if delta else "", True, 1 if delta else 3, delta, interval=True)


def _cell(overview: Overview, result: Aggregate, name: str) -> Cell:
    line, test = overview.line(result, name), overview.tests.get((result.study.name, name))
    mark = "" if test is None or not test.real else BETTER if test.difference.mean > 0 else WORSE
    if line is None:
        return Cell(EMPTY)
    return Cell(mean(worth(result, line)), sign=mark, note=of_seeds(line) if worth(result, line) else "")


def effects_table(found: OverDatasets) -> Table:
    """Each method over the data sets."""
    columns = [
        Column("gain", "gain over hard sharing in Δ", "", "points", True, 1, True, interval=True),
        Column("iqm", "interquartile mean of Δ", "", "%", True, 1, True, interval=True),
        Column("improvement", "probability of improvement", "", "", True, 2, interval=True),
        Column("p", "p"),
    ]
    rows = [
        (e.label, [*(Cell(_span(s)) for s in (e.gain, e.middle, e.better)), Cell(p_text(e.test.corrected))])
        for e in found.effects
    ]
    return Table("effects", "Effects over data sets", columns, rows, [words.EFFECTS + words.NAMED * found.renamed])


def _span(span: Span) -> Summary:
    return Summary(1, span.figure, span.sd, span.low, span.high)
