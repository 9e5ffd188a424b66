"""Tables of the front over the tasks' weights: every point, and what each method reaches over its points."""

from __future__ import annotations

from mtlbench.report.analysis.aggregate import mean
from mtlbench.report.analysis.fronts import Front, Point
from mtlbench.report.analysis.statistics import EMPTY
from mtlbench.report.tables import words
from mtlbench.report.tables.comparisons import p_text
from mtlbench.report.tables.formats import Cell, Column, Table
from mtlbench.report.tables.header import title
from mtlbench.report.tables.naming import metric_column, task_name
from mtlbench.report.text import clean


def front_title(front: Front) -> str:
    """Its heading: data set and tasks, and what sets the family apart."""
    first = front.studies[0].study
    tasks = ", ".join(task_name(t) for t, _ in front.metrics)
    return f"Over the tasks' weights: {clean(first.config.get('dataset', 'data'), 40)}: {tasks}"


def front_said(front: Front) -> list[tuple[str, str]]:
    """What stands above it."""
    first = front.studies[0].study.config
    settings = ", ".join(f"{k} {first[k]}" for k in ("budget", "steps", "backbone", "width", "preset") if k in first)
    named = "; ".join(title(r.study) for r in front.studies)
    return [("Settings", clean(settings, 400)), ("Studies", clean(named, 2000))]


def points_table(front: Front) -> Table:
    """Rows are methods at their weights: the primary metrics, and whether some weights of hard sharing beat them."""
    columns = [Column("shares", f"share of {', '.join(task_name(t) for t, _ in front.metrics)}")]
    for task, metric in front.metrics:
        column = metric_column(task, metric)
        columns.append(
            Column(column.key, column.head, column.group, column.unit, column.higher, column.digits, interval=True)
        )
    columns.append(Column("beyond", "beyond hard sharing", "", "%", True, 1, True, interval=True))
    rows = [(label, _cells(front, point)) for label, points in front.curves.items() for point in points]
    return Table("points", "Every point", columns, rows, [words.FRONT_POINTS])


def _cells(front: Front, point: Point) -> list[Cell]:
    shares = "the data set's" if point.shares is None else " / ".join(f"{s:.3g}" for s in point.shares)
    metrics = [mean(point.line.values[t.name, m.name]) for t, m in front.metrics]
    return [Cell(shares), *map(Cell, metrics), Cell(front.beyond(point))]


def reach_table(front: Front) -> Table:
    """Rows are methods: what they reach over the weights that hard sharing has too."""
    columns = [
        Column("points", "weights"),
        Column("reach", "reach", "", "", True, 3, interval=True),
        Column("gain", "less hard sharing's", "", "", None, 3, True, interval=True),
        Column("p", "p (Holm)"),
        Column("detectable", "detectable", "", "", None, 3),
    ]
    rows = []
    for r in front.reaches():
        test = r.gain
        detectable = Cell(EMPTY) if test.detectable != test.detectable else Cell(f"{test.detectable:.3f}")
        rows.append(
            (
                r.label,
                [Cell(str(r.points)), Cell(r.reach), Cell(test.difference), Cell(p_text(test.corrected)), detectable],
            )
        )
    return Table("reach", "What is reached over the weights", columns, rows, [words.FRONT_REACH])
