"""The table of what changes over one setting: every method's figure at each value, marked against hard sharing."""

from __future__ import annotations

from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, mean
from mtlbench.report.analysis.sweeps import Sweep
from mtlbench.report.tables import words
from mtlbench.report.tables.formats import BETTER, WORSE, Cell, Column, Table
from mtlbench.report.tables.header import title
from mtlbench.report.tables.naming import task_name
from mtlbench.report.text import clean


def sweep_title(sweep: Sweep) -> str:
    """Its heading: the setting, the data set and the tasks."""
    first = sweep.studies[0].study
    tasks = ", ".join(map(task_name, first.tasks))
    return f"Over {sweep.told}: {clean(first.config.get('dataset', 'data'), 40)}: {tasks}"


def sweep_said(sweep: Sweep) -> list[tuple[str, str]]:
    """What stands above it."""
    named = "; ".join(title(r.study) for r in sweep.studies)
    return [("Values", ", ".join(f"{v:g}" for v in sweep.values)), ("Studies", clean(named, 2000))]


def sweep_table(sweep: Sweep) -> Table:
    """Rows are methods, columns values, and last by how much a method's figure rises with the setting."""
    delta = sweep.key == DELTA_PRIMARY
    unit, digits = ("%", 1) if delta else ("", 3)
    columns = [
        Column(f"{sweep.told}={v:g}", f"{sweep.told} {v:g}", "", unit, True, digits, delta, interval=True)
        for v in sweep.values
    ]
    ends = f"{sweep.values[0]:g} to {sweep.values[-1]:g}"
    columns.append(Column("rise", f"rise from {ends}", "", "", None, digits, True, interval=True))
    rows = []
    for label in sweep.labels:
        cells = [Cell(mean(sweep.series(label, i)), sign=_mark(sweep, label, i)) for i in range(len(sweep.values))]
        rows.append((label, [*cells, Cell(sweep.rise(label))]))
    measure = "Δ over single-task" if delta else "Mean skill"
    tested = sum(t.p == t.p for t in sweep.gains.values())
    notes = [words.SWEEP + (words.SWEEP_MARKS.format(tested=tested) if tested else "")]
    return Table("over", f"{measure} over {sweep.told}", columns, rows, notes)


def _mark(sweep: Sweep, label: str, place: int) -> str:
    test = sweep.gains.get((label, place))
    if test is None or not test.real:
        return ""
    return BETTER if test.difference.mean > 0 else WORSE
