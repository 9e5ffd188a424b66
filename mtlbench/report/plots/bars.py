"""Each task's primary metric by method: the mean with its 95 % t interval, and every seed as a dot."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtlbench.report.analysis.aggregate import Aggregate, Line, mean, primary
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import Look
from mtlbench.report.tables.naming import counted, metric_column

TITLE = "Each task's primary metric by method, with intervals over seeds where there are several"


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """The rows of each task's panel."""
    lines = [line for line in result.lines if line.row.runs]
    panels = []
    for task in result.study.tasks:
        metric = primary(task)
        if metric is None:
            continue
        key = (task.name, metric.name)
        rows = [_row(line, key, order) for line in lines]
        if any(row["seeds"] for row in rows):
            column = metric_column(task, metric)
            constant = mean(result.constant[key]).mean
            said = f"{column.figure(constant)} {column.unit}".replace(" °", "°").rstrip()
            panel = {"task": column.group, "title": column.title, "rows": rows, "higher": metric.higher}
            panels.append({**panel, "constant": said if style.usable(constant) else None})
    return {"panels": panels, "seeds": len(result.study.seeds)} if panels else None


def _row(line: Line, key: tuple[str, str], order: dict[str, Look]) -> dict[str, Any]:
    values = [v for _, v in sorted(line.series(key).items()) if style.usable(v)]
    summary = mean(dict(enumerate(values)))
    span = [summary.low, summary.high] if style.usable(summary.low, summary.high) else None
    shown = summary.mean if values else None
    return {"label": counted(line), "look": order[line.label], "mean": shown, "span": span, "seeds": values}


def draw(content: dict[str, Any]) -> Figure:
    """Panels side by side, methods from top to bottom; the dashed line is the first row, single-task where it ran."""
    panels = content["panels"]
    rows = len(panels[0]["rows"])
    columns = style.across(len(panels))
    lines = -(-len(panels) // columns)
    made = style.figure(0.3 + lines * (0.65 + 0.19 * rows))
    grid = made.subplots(lines, columns, sharey=True, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, panel)
    over = "line: 95 % t interval over seeds; ticks: seeds; " if content["seeds"] > 1 else ""
    said = f"{over}dashed: the first row"
    style.caption(made, "Primary metric of each task", content["note"], said)
    return made


def _panel(axes: Axes, panel: dict[str, Any]) -> None:
    rows = panel["rows"]
    first = rows[0]["mean"]
    if first is not None:
        axes.axvline(first, color=style.SOFT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    reach = [v for row in rows for v in (*row["seeds"], *(row["span"] or ()))]
    for y, row in enumerate(rows):
        if row["mean"] is None:
            continue
        if row["span"]:
            axes.plot(row["span"], [y, y], color=row["look"][0], linewidth=1.6, solid_capstyle="butt", zorder=2)
        if len(row["seeds"]) > 1:
            dots = row["seeds"][:20]
            axes.plot(
                dots, [y] * len(dots), "|", color=style.INK, markersize=5, markeredgewidth=0.7, alpha=0.55, zorder=3
            )
        axes.scatter([row["mean"]], [y], zorder=4, **style.dot(row["look"], 32))
    axes.set_yticks(range(len(rows)), [style.shorten(row["label"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    style.pad(axes, reach, "x")
    axes.set_title(panel["task"], loc="left")
    constant = "" if panel["constant"] is None else f"\nconstant predictor: {panel['constant']}"
    axes.set_xlabel(panel["title"] + constant)
