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

TITLE = "Delta against cost, with the Pareto front"
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
    return {"label": line.label, "look": order[line.label], "delta": delta.mean, "half": half, "costs": costs}


def front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points no other one beats in both: cheaper (x) and better (y), by rising cost."""
    found: list[tuple[float, float]] = []
    for x, y in sorted(points, key=lambda p: (p[0], -p[1])):
        if not found or y > found[-1][1]:
            found.append((x, y))
    return found


def draw(content: dict[str, Any]) -> Figure:
    """Four panels, Delta upwards and cost to the right."""
    columns = style.across(len(AXES))
    lines = len(AXES) // columns
    made = style.figure(0.6 + 2.2 * lines)
    grid = made.subplots(lines, columns, sharey=True, squeeze=False)
    for axes, (key, name, unit) in zip(grid.flat, AXES, strict=True):
        points = [p for p in content["points"] if key in p["costs"]]
        scale, prefix = style.prefix([p["costs"][key] for p in points]) if key != "latency_ms" else (1.0, "")
        _panel(axes, points, key, scale)
        axes.set_xlabel(f"{name} ({prefix}{unit})" if prefix or unit else name)
    for axes in grid[:, 0]:
        axes.set_ylabel("Δ over single-task (%)")
    style.caption(made, "Δ against cost", content["note"])
    fullest = max(grid.flat, key=lambda a: len(a.get_legend_handles_labels()[1]))
    style.legend(made, fullest)
    return made


def _panel(axes: Axes, points: Sequence[dict[str, Any]], key: str, scale: float) -> None:
    axes.axhline(0, color=style.SOFT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    if not points:
        axes.text(0.5, 0.5, "not measured", ha="center", va="center", transform=axes.transAxes, color=style.SOFT)
        axes.set_xticks([])
        return
    best = front([(p["costs"][key] / scale, p["delta"]) for p in points])
    axes.plot(*zip(*best, strict=True), color=style.INK, linewidth=0.9, alpha=0.55, drawstyle="steps-post", zorder=2)
    for p in points:
        where, half = p["costs"][key] / scale, p["half"]
        axes.errorbar(where, p["delta"], yerr=half or None, fmt="none", ecolor=p["look"][0], elinewidth=0.8, alpha=0.6)
        axes.scatter([where], [p["delta"]], label=style.shorten(p["label"]), zorder=3, **style.dot(p["look"]))
    style.pad(axes, [p["costs"][key] / scale for p in points], "x")
    axes.xaxis.set_major_locator(MaxNLocator(5))
