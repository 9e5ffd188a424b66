"""What another rule of selection would have deployed, read off the same training: what choosing is worth."""

from __future__ import annotations

from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, delta_under, mean, paired
from mtlbench.report.reading.studies import ORACLE
from mtlbench.report.tables.formats import Cell, Column, Table
from mtlbench.report.tables.naming import label
from mtlbench.report.text import clean

NOTE = (
    "Every rule's choice comes from the same training, and Δ is over single-task as it was deployed, so columns differ by the "
    "choice alone; the difference is paired by seed, with its 95 % t interval."
)
CHOSEN_ON_TEST = f"{ORACLE} CHOOSES ON THE TEST SPLIT: its difference is what looking there is worth, and no result."


def table(result: Aggregate) -> Table:
    """A row a method whose runs kept other rules' choices."""
    found = sorted({rule for line in result.lines for run in line.row.every for rule in run.rules})
    deployed = clean(result.study.config.get("selection", "last"), 40)
    columns = [Column("delta_primary", "Δ", f"{deployed}, as deployed", "%", None, 1, True)]
    for rule in found:
        columns.append(Column("delta_primary", "Δ", rule, "%", None, 1, True))
        columns.append(Column("difference", "difference", rule, "points", None, 1, True, interval=True))
    rows = []
    for line in result.lines:
        own = line.series(DELTA_PRIMARY)
        others = [delta_under(result, line, rule) for rule in found]
        if own and any(others):
            cells = [Cell(x) for o in others for x in (mean(o), paired(None, o, own).difference)]
            rows.append((label(line), [Cell(mean(own)), *cells]))
    notes = [NOTE, *([CHOSEN_ON_TEST] if ORACLE in found else [])]
    return Table("selection", "Rules of selection, read off one training", columns, rows, notes)
