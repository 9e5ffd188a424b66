"""Training curves: each task's primary metric on validation, by step, averaged over seeds.

Seeds that take different numbers of steps, as under a budget of FLOPs, are averaged evaluation by evaluation, their steps
too; where they have different numbers of evaluations, over the seeds that reached a step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtlbench.records import TaskInfo
from mtlbench.report.analysis.aggregate import Aggregate, Line, primary
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import Look
from mtlbench.report.tables.naming import metric_column

TITLE = "Training curves: primary metric on validation by training step"
BANDS = 6  # curves of a panel that bands do not bury
POINTS = 60  # of a curve, at most

Point = tuple[float, float, float, float]  # step, and mean, least and most of the seeds' values


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """The curves of each task's panel."""
    panels = []
    for task in result.study.tasks:
        metric = primary(task)
        curves = [c for line in result.lines if line.row.role == "study" and (c := _curve(line, task, order))]
        if metric is not None and any(len(c["points"]) > 1 for c in curves):
            column = metric_column(task, metric)
            panels.append({"task": column.group, "title": f"validation {column.title}", "curves": curves})
    return {"panels": panels} if panels else None


def _curve(line: Line, task: TaskInfo, order: dict[str, Look]) -> dict[str, Any] | None:
    curves = [
        [(s, v) for s, v in run.curves.get(task.name, ()) if abs(v) < style.HUGE and abs(s) < style.HUGE]
        for run in line.row.every
    ]
    if len(set(map(len, curves))) == 1:
        points = [_point(together) for together in zip(*curves, strict=True)]
    else:
        points = _reached(curves)
    stride = -(-len(points) // POINTS) or 1
    kept = points[::-1][::stride][::-1]  # the last point always stays
    return {"label": line.label, "look": order[line.label], "points": kept} if kept else None


def _point(together: Sequence[tuple[int, float]]) -> Point:
    steps, values = zip(*together, strict=True)
    return sum(steps) / len(steps), sum(values) / len(values), min(values), max(values)


def _reached(curves: Iterable[Iterable[tuple[int, float]]]) -> list[Point]:
    """The steps that most seeds reached."""
    by_step: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for step, value in chain.from_iterable(curves):
        by_step[step].append((step, value))
    most = max(map(len, by_step.values()), default=0)
    return [_point(v) for _, v in sorted(by_step.items()) if len(v) == most]


def draw(content: dict[str, Any]) -> Figure:
    """A panel a task."""
    panels = content["panels"]
    columns = style.across(len(panels))
    lines = -(-len(panels) // columns)
    made = style.figure(0.7 + 2.2 * lines)
    grid = made.subplots(lines, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, panel)
    banded = any(_banded(p) for p in panels)
    over = "line: mean of the seeds; band: lowest to highest of them" if banded else ""
    style.caption(made, "Validation while training", content["note"], over)
    style.legend(made, grid.flat[0])
    return made


def _banded(panel: dict[str, Any]) -> bool:
    """Whether a panel has few enough curves for bands, and one of several seeds."""
    return len(panel["curves"]) <= BANDS and any(
        low != high for c in panel["curves"] for _, _, low, high in c["points"]
    )


def _panel(axes: Axes, panel: dict[str, Any]) -> None:
    few = _banded(panel)
    for curve in panel["curves"]:
        steps, means, lows, highs = zip(*curve["points"], strict=True)
        label = curve["label"]
        axes.plot(steps, means, markersize=4.5, markevery=[-1], linewidth=1.1, label=label, **style.line(curve["look"]))
        if few and lows != highs:
            axes.fill_between(steps, lows, highs, color=curve["look"][0], alpha=0.12, linewidth=0)
    axes.set_title(panel["task"], loc="left")
    axes.set_ylabel(panel["title"])
    axes.set_xlabel("training step")
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
