"""Trees: which levels of the network the tasks pass together, and where they part, in every seed."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import COLOURS, Look
from mtlbench.report.reading.artefacts import Tree

TITLE = "Trees: where the tasks part"
SHOWN = 3  # seeds of a row
ROWS = 6


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """The trees of every row that kept one."""
    found = []
    for line in result.lines:
        runs = [(s, r.tree) for s, r in sorted(line.row.runs.items()) if r.tree is not None]
        if runs:
            seeds = [{"seed": s, **_tree(t)} for s, t in runs[:SHOWN]]
            found.append({"label": line.label, "seeds": seeds, "of": len(runs)})
    return {"rows": found[:ROWS]} if found else None


def _tree(tree: Tree) -> dict[str, Any]:
    """Tasks in an order in which no two branches cross: that of their paths."""
    together = sorted(zip(tree.paths, tree.tasks, strict=True))
    return {"levels": tree.levels, "tasks": [t for _, t in together], "paths": [p for p, _ in together]}


def draw(content: dict[str, Any]) -> Figure:
    """A line of panels a row, one a seed."""
    rows = content["rows"]
    seeds = max(len(r["seeds"]) for r in rows)
    tasks = max(len(s["tasks"]) for r in rows for s in r["seeds"])
    height = 0.75 + 0.24 * tasks
    if style.stacked():
        made = style.figure(0.3 + len(rows) * seeds * height)
        grid = made.subplots(len(rows) * seeds, 1, squeeze=False).reshape(len(rows), seeds)
    else:
        made = style.figure(0.3 + len(rows) * (height + 0.2))
        grid = made.subplots(len(rows), seeds, squeeze=False)
    for line, row in zip(grid, rows, strict=True):
        for axes in line[len(row["seeds"]) :]:
            axes.set_visible(False)
        for axes, seed in zip(line, row["seeds"], strict=False):
            _panel(axes, seed)
        shown = len(row["seeds"])
        head = style.shorten(row["label"], 60) + (f": {shown} of {row['of']} seeds" if shown < row["of"] else "")
        text = line[0].annotate(
            head, (0, 1), (0, 17), "axes fraction", "offset points", fontsize=8.5, fontweight="bold"
        )
        text.set_in_layout(False)  # it may be wider than its panel; the panels' titles keep its line free
    style.caption(made, "Trees", content["note"], "from the input to the right; a node runs once for all its tasks")
    return made


def places(paths: list[Any]) -> dict[tuple[int, ...], tuple[float, float]]:
    """Every node, by the way to it: its level, and the mean row of the tasks that pass it."""
    rows: dict[tuple[int, ...], list[int]] = {}
    for row, path in enumerate(paths):
        for level in range(1, len(path) + 1):
            rows.setdefault(tuple(path[:level]), []).append(row)
    return {way: (len(way) - 1.0, sum(own) / len(own)) for way, own in rows.items()}


def _panel(axes: Axes, seed: dict[str, Any]) -> None:
    found = places(seed["paths"])
    last = len(seed["levels"]) - 1
    for way, (x, y) in found.items():
        if len(way) > 1:
            before = found[way[:-1]]
            axes.plot([before[0], x], [before[1], y], color=style.SOFT, linewidth=1.2, zorder=1)
    xs, ys = zip(*found.values(), strict=True)
    axes.scatter(xs, ys, s=26, color=COLOURS[0], zorder=2)
    for row, (path, task) in enumerate(zip(seed["paths"], seed["tasks"], strict=True)):
        y = found[tuple(path)][1]
        axes.plot([last, last + 0.45], [y, row], color=style.SOFT, linewidth=0.8, zorder=1)
        axes.text(last + 0.55, row, style.shorten(task, 16), va="center", fontsize=6.5, color=style.INK)
    axes.set_xlim(-0.4, last + 0.6 + 0.14 * (last + 1) * max(map(len, seed["tasks"])) / 5)
    axes.set_ylim(len(seed["tasks"]) - 0.4, -0.6)
    axes.set_xticks(range(last + 1), [style.shorten(n, 9) for n in seed["levels"]], rotation=40, ha="right", fontsize=6)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(f"\nseed {seed['seed']} · {len(found)} nodes", loc="left", fontweight="normal")
