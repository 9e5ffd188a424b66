"""Every method's figure over one setting, with its interval: beside each other, or each beside hard sharing where many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, mean
from mtlbench.report.analysis.sweeps import Sweep
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import Look
from mtlbench.report.plots.looks import order as places

TITLE = "What changes over one setting"
SIDE = 0.01  # of the axis, between the intervals of two curves in one panel
FEW = 5  # methods in one panel
WIDE = 50.0  # from this ratio of the largest to the smallest on, the axis is logarithmic


def data(sweep: Sweep, order: dict[str, Look]) -> dict[str, Any]:
    """Each method's points: value, mean, and the ends of its interval."""
    curves = []
    for label in sorted(sweep.labels, key=lambda x: (x != sweep.shared, places(order[x]), x)):
        points = []
        for place, value in enumerate(sweep.values):
            found = mean(sweep.series(label, place))
            if style.usable(found.mean, value):
                half = found.half if style.usable(found.half) else 0.0
                points.append([value, found.mean, found.mean - half, found.mean + half])
        if points:
            curves.append({"label": label, "look": order[label], "points": points})
    few, many = sweep.seeds
    count = f"{many}" if few == many else f"{few} to {many}"
    told = f"mean of {count} seeds with 95 % t intervals" if many > 1 else "one seed: no intervals, no ranking"
    delta = sweep.key == DELTA_PRIMARY
    return {"curves": curves, "setting": sweep.told, "delta": delta, "shared": sweep.shared, "note": told}


def draw(content: dict[str, Any]) -> Figure:
    """One panel of a few methods; of more a panel each, hard sharing's curve in all of them."""
    curves, shared = content["curves"], content["shared"]
    base = next((c for c in curves if c["label"] == shared), None)
    few = len(curves) <= FEW
    panels = [curves] if few else [[base, c] if base else [c] for c in curves if c is not base]
    columns = 1 if few else style.across(len(panels))
    lines = -(-len(panels) // columns)
    made = style.figure(3.2 if few else 0.6 + 1.35 * lines)
    grid = made.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    for number, (axes, panel) in enumerate(zip(grid.flat, panels, strict=False)):
        _panel(axes, panel, content)
        if not few:
            axes.set_title(style.shorten(panel[-1]["label"], 34), loc="left", fontsize=7.5)
        if number + columns >= len(panels):
            axes.set_xlabel(content["setting"])
            axes.tick_params(labelbottom=True)
    _ends([axes for axes in grid.flat if axes.get_visible()], curves)
    measure = "Δ over single-task (%)" if content["delta"] else "mean skill"
    made.supylabel(measure, fontsize=8)
    apart = "points of one value stand side by side" if few and len(curves) > 2 else ""
    beside = f"grey: {shared}" if base and not few else apart
    style.caption(made, f"{'Δ over single-task' if content['delta'] else 'Mean skill'} over {content['setting']}",
                  content["note"], beside)  # fmt: skip
    if few:
        style.legend(made, grid.flat[0])
    return made


def _panel(axes: Axes, panel: list[dict[str, Any]], content: dict[str, Any]) -> None:
    if content["delta"]:
        axes.axhline(0, color=style.SOFT, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    values = [p[0] for curve in content["curves"] for p in curve["points"]]
    if min(values) > 0 and max(values) / min(values) >= WIDE:
        axes.set_xscale("log")
    for number, curve in enumerate(panel):
        given, y, low, high = zip(*curve["points"], strict=True)
        x: Sequence[float] = given
        if len(panel) > 2:
            x = _beside(given, number - (len(panel) - 1) / 2, min(values), max(values), axes.get_xscale() == "log")
        axes.plot(x, y, label=curve["label"], markersize=4, **style.line(curve["look"]))
        if len(panel) > 2:  # bands of many would bury each other
            half = [h - m for h, m in zip(high, y, strict=True)]
            bars = {"fmt": "none", "ecolor": curve["look"][0], "elinewidth": 0.9, "capsize": 2.5, "alpha": 0.8}
            axes.errorbar(x, y, [h or float("nan") for h in half], **bars)
        else:
            axes.fill_between(x, low, high, color=curve["look"][0], alpha=0.15, linewidth=0)


def _beside(x: Sequence[float], place: float, low: float, high: float, log: bool) -> list[float]:
    """The values moved a little to a curve's own side, so that its intervals do not stand on another's."""
    share = SIDE * place
    return [v * (high / low) ** share if log else v + share * (high - low) for v in x]


def _ends(grid: list[Axes], curves: list[dict[str, Any]]) -> None:
    """The upright axis ends where means do, with room for intervals up to as much again: one wide one hides no curve."""
    means = [p[1] for c in curves for p in c["points"]]
    room = 0.5 * (max(means) - min(means)) or abs(max(means)) * 0.1 or 1.0
    low = max(min(p[2] for c in curves for p in c["points"]), min(means) - room)
    high = min(max(p[3] for c in curves for p in c["points"]), max(means) + room)
    for axes in grid:
        style.pad(axes, [low, high], "y", 0.05)
