"""What another rule of selection would have deployed, read off the same training: what choosing is worth."""

from __future__ import annotations

from collections.abc import Sequence

from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, Line, delta_under, mean, paired
from mtlbench.report.reading.studies import ORACLE
from mtlbench.report.tables.formats import Cell, Column, Table
from mtlbench.report.tables.naming import label
from mtlbench.report.text import clean

NOTE = (
    "Every rule's choice comes from the same training, and Δ is over single-task as it was deployed, so columns differ by the "
    "choice alone; the difference is paired by seed, with its 95 % t interval."
)
ALONE = (
    "Every rule's choice comes from the same training. Without single-task there is no Δ: the gain is by how many percent the "
    "tasks' primary metrics are better than those of what was deployed, averaged over tasks, with its 95 % t interval."
)
CHOSEN_ON_TEST = f"{ORACLE} CHOOSES ON THE TEST SPLIT: its difference is what looking there is worth, and no result."


def table(result: Aggregate) -> Table:
    """A row a method whose runs kept other rules' choices."""
    found = sorted({rule for line in result.lines for run in line.row.every for rule in run.rules})
    single = result.line("independent")
    columns, rows = _over_single_task(result, found, single) if single else _over_deployed(result, found)
    notes = [NOTE if single else ALONE, *([CHOSEN_ON_TEST] if ORACLE in found else [])]
    return Table("selection", "Rules of selection, read off one training", columns, rows, notes)


Parts = tuple[list[Column], list[tuple[str, list[Cell]]]]


def _over_single_task(result: Aggregate, rules: Sequence[str], single: Line) -> Parts:
    """Δ as deployed and under each rule, and the difference."""
    columns = [Column("delta_primary", "Δ", f"{_deployed(result)}, as deployed", "%", None, 1, True)]
    for rule in rules:
        columns.append(Column("delta_primary", "Δ", rule, "%", None, 1, True))
        columns.append(Column("difference", "difference", rule, "points", None, 1, True, interval=True))
    rows = []
    for line in result.lines:
        own = line.series(DELTA_PRIMARY)
        others = [delta_under(result, line, rule, single) for rule in rules]
        if own and any(others):
            cells = [Cell(x) for o in others for x in (mean(o), paired(None, o, own).difference)]
            rows.append((label(line), [Cell(mean(own)), *cells]))
    return columns, rows


def _over_deployed(result: Aggregate, rules: Sequence[str]) -> Parts:
    """Each rule's choice over what was deployed, where no row is there to measure both by."""
    head = f"gain over {_deployed(result)}, as deployed"
    columns = [Column("gain", head, rule, "%", None, 1, True, interval=True) for rule in rules]
    gains = [(label(x), [mean(delta_under(result, x, rule, x)) for rule in rules]) for x in result.lines]
    return columns, [(name, [Cell(x) for x in found]) for name, found in gains if any(x.n for x in found)]


def _deployed(result: Aggregate) -> str:
    return clean(result.study.config.get("selection", "last"), 40)
