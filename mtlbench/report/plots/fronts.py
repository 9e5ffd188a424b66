"""The front over the tasks' weights: one task's figure against another's, with hard sharing's as the line to beat."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtlbench.report.analysis.aggregate import mean
from mtlbench.report.analysis.fronts import Front, Point, unbeaten
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import Look
from mtlbench.report.tables.naming import metric_column

TITLE = "One task against another over the tasks' weights"
PANELS = 6  # pairs of tasks that are drawn
Pair = tuple[float, float]


def data(front: Front, order: dict[str, Look]) -> dict[str, Any]:
    """A panel for each pair of tasks: each row's points, and hard sharing's row."""
    numbers = range(len(front.metrics))
    panels = []
    for a, b in list(combinations(numbers, 2))[:PANELS]:
        columns = [metric_column(*front.metrics[i]) for i in (a, b)]
        curves = [
            {"label": label, "look": order[label], "points": [x for p in points if (x := _point(front, p, a, b))]}
            for label, points in front.curves.items()
        ]
        axes = [{"title": f"{c.group}: {c.title}", "higher": bool(c.higher)} for c in columns]
        panels.append({"axes": axes, "curves": [c for c in curves if c["points"]]})
    left = len(list(combinations(numbers, 2))) - len(panels)
    note = f"{left} more pairs of tasks are in the table" if left else ""
    return {"panels": panels, "shared": front.shared, "two": len(front.metrics) == 2, "note": note, "said": said(front)}


def said(front: Front) -> str:
    """How many seeds there are, for a figure that leaves the page."""
    if front.seeds == 1:
        return "one seed: no intervals, no ranking"
    return f"mean of {front.seeds} seeds with 95 % t intervals"


def _point(front: Front, point: Point, a: int, b: int) -> dict[str, Any] | None:
    """Where it is drawn, half its interval on both axes, and the second task's share where there are two."""
    series = [point.line.values[front.metrics[i][0].name, front.metrics[i][1].name] for i in (a, b)]
    x, y = (mean({s: v for s, v in one.items() if s in point.vectors}) for one in series)
    if not style.usable(x.mean, y.mean):
        return None
    halves = [v.half if style.usable(v.half) else 0.0 for v in (x, y)]
    share = None if point.shares is None else point.shares[b]
    return {"at": [x.mean, y.mean], "half": halves, "share": share}


def draw(content: dict[str, Any]) -> Figure:
    """A panel for each pair; better is up and to the right in all of them."""
    panels = content["panels"]
    one = len(panels) == 1
    columns = style.across(len(panels))
    lines = -(-len(panels) // columns)
    made = style.figure(0.7 + (3.6 if one else 2.4) * lines, 5.2 if one else style.WIDTH)
    grid = made.subplots(lines, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(grid.flat, panels, strict=False):
        _panel(axes, panel, content)
    to_beat = f"shaded: no better than some weights of {content['shared']}" if content["shared"] else ""
    second = panels[0]["axes"][1]["title"].partition(": ")[0] if panels else ""
    numbers = f"numbers: the share of the weights that {second} has" if content["shared"] and content["two"] else ""
    style.caption(made, TITLE, content["said"], to_beat, numbers, content["note"])
    style.legend(made, grid.flat[0])
    return made


def _panel(axes: Axes, panel: dict[str, Any], content: dict[str, Any]) -> None:
    for number, (axis, told) in enumerate(zip("xy", panel["axes"], strict=True)):
        style.pad(
            axes, _ends([(p["at"][number], p["half"][number]) for c in panel["curves"] for p in c["points"]]), axis
        )
        if not told["higher"]:
            (axes.invert_xaxis if axis == "x" else axes.invert_yaxis)()
        (axes.set_xlabel if axis == "x" else axes.set_ylabel)(told["title"])
        (axes.xaxis if axis == "x" else axes.yaxis).set_major_locator(MaxNLocator(5))
    for curve in panel["curves"]:
        if curve["label"] == content["shared"]:
            _to_beat(axes, [p["at"] for p in curve["points"]], [a["higher"] for a in panel["axes"]])
        _curve(axes, curve, content["two"], curve["label"] == content["shared"])


def _ends(points: Sequence[Pair]) -> list[float]:
    """Where an axis ends: with the intervals, but no further from the points than they are from each other."""
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    room = (high - low) or abs(high) * 0.1 or 1.0
    return [max(min(x - h for x, h in points), low - room), min(max(x + h for x, h in points), high + room)]


def _curve(axes: Axes, curve: dict[str, Any], joined: bool, told: bool) -> None:
    """A row's points with their intervals, in the order of the weights where two tasks have one; `told` with the shares."""
    look, label = curve["look"], curve["label"]
    known = [p for p in curve["points"] if p["share"] is not None]
    if joined and len(known) > 1:
        given = {**style.line(look), "marker": ""}
        axes.plot(*zip(*(p["at"] for p in known), strict=True), linewidth=0.9, alpha=0.8, zorder=2, **given)
    for p in curve["points"]:
        (x, y), (right, up) = p["at"], p["half"]
        error = {"xerr": right or None, "yerr": up or None, "fmt": "none", "ecolor": look[0], "elinewidth": 0.8}
        axes.errorbar(x, y, alpha=0.5, **error)
        axes.scatter([x], [y], label=label, zorder=3, **style.dot(look))
        if joined and told and p["share"] is not None:
            share = f"{p['share']:.2g}".removeprefix("0") or "0"
            axes.annotate(share, (x, y), xytext=(4, 4), textcoords="offset points", fontsize=6.5, color=style.INK)


def _to_beat(axes: Axes, points: Sequence[Pair], higher: Sequence[bool]) -> None:
    """The steps of hard sharing's unbeaten points, and all that is no better than one of them."""
    signs = [1.0 if h else -1.0 for h in higher]
    best = sorted(unbeaten([(signs[0] * x, signs[1] * y) for x, y in points]))
    worst = (signs[0] * axes.get_xlim()[0], signs[1] * axes.get_ylim()[0])  # an axis begins at its worst end
    steps = [(worst[0], best[0][1]), *best, (best[-1][0], worst[1])]
    x, y = [signs[0] * p[0] for p in steps], [signs[1] * p[1] for p in steps]
    axes.fill_between(x, y, axes.get_ylim()[0], step="pre", color=style.INK, alpha=0.07, linewidth=0, zorder=0)
    axes.plot(x, y, color=style.INK, linewidth=0.8, alpha=0.6, drawstyle="steps-pre", zorder=1)
