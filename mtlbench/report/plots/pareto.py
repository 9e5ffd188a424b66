"""Delta against what it costs: parameters, MACs, latency and training, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, Line, mean
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import Look
from mtlbench.report.tables.naming import counted

TITLE = "Delta against cost, with the Pareto front"
EQUAL = 0.02  # share of a cost within which differences are not spread over the whole axis
TERA = 1e12  # a training may take more FLOPs than an axis could hold undivided
AXES = (
    ("parameters", "Parameters", ""),
    ("macs", "Multiply-adds, all tasks", "MAC"),
    ("latency_ms", "Latency, all tasks", "ms"),
    ("training_flops", "Training compute", "FLOP"),
)


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """The points of each panel; None without a Delta."""
    points = [_point(line, order) for line in result.lines]
    points = [p for p in points if style.usable(p["delta"]) and p["costs"]]
    return {"points": points} if len(points) > 1 else None


def _point(line: Line, order: dict[str, Look]) -> dict[str, Any]:
    delta = mean(line.series(DELTA_PRIMARY))
    costs = {k: line.costs[k].mean for k, _, _ in AXES if k in line.costs}
    half = delta.half if style.usable(delta.half) else 0.0
    costs = {k: v for k, v in costs.items() if style.usable(v / TERA)}
    return {"label": counted(line), "look": order[line.label], "delta": delta.mean, "half": half, "costs": costs}


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points no other one beats in both: cheaper (x) and better (y), by rising cost."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (p[0], -p[1])):
        if not found or y > found[-1][1]:
            found.append((x, y))
    return found


def draw(content: dict[str, Any]) -> Figure:
    """A panel for each cost that was measured, Delta upwards and cost to the right."""
    panels = [x for x in AXES if any(x[0] in p["costs"] for p in content["points"])]
    columns = style.across(len(panels))
    lines = -(-len(panels) // columns)
    made = style.figure(0.6 + 2.2 * lines)
    grid = made.subplots(lines, columns, sharey=True, squeeze=False)
    for axes, (key, name, unit) in zip(grid.flat, panels, strict=True):
        points = [p for p in content["points"] if key in p["costs"]]
        scale, prefix = style.prefix([p["costs"][key] for p in points]) if key != "latency_ms" else (1.0, "")
        _panel(axes, points, key, scale)
        axes.set_xlabel(f"{name} ({prefix}{unit})" if prefix or unit else name)
    for axes in grid[:, 0]:
        axes.set_ylabel("Δ over single-task (%)")
    lines_told = "lines: 95 % t intervals over seeds" if any(p["half"] for p in content["points"]) else ""
    style.caption(
        made, "Δ against cost", content["note"], lines_told, "dotted: the front; no row is better and cheaper"
    )
    fullest = max(grid.flat, key=lambda a: len(a.get_legend_handles_labels()[1]))
    style.legend(made, fullest)
    return made


def _panel(axes: Axes, points: Sequence[dict[str, Any]], key: str, scale: float) -> None:
    axes.axhline(0, color=style.SOFT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    best = front([(p["costs"][key] / scale, p["delta"]) for p in points])
    steps: Any = {"linewidth": 1.0, "linestyle": (0, (1, 1.6)), "drawstyle": "steps-post"}
    axes.plot(*zip(*best, strict=True), color=style.INK, alpha=0.7, zorder=1.5, **steps)
    for p in points:
        where, half = p["costs"][key] / scale, p["half"]
        if half:
            axes.errorbar(
                where, p["delta"], half, fmt="none", ecolor=p["look"][0], elinewidth=1.3, capsize=2.5, zorder=2
            )
        axes.scatter([where], [p["delta"]], label=p["label"], zorder=3, **style.dot(p["look"]))
    style.pad(axes, [p["costs"][key] / scale for p in points], "x", least=EQUAL)
    axes.xaxis.set_major_locator(MaxNLocator(5))
