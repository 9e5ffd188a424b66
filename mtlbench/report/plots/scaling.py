"""How cost grows with the number of tasks: studies that differ in their tasks alone, side by side."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import Look
from mtlbench.report.plots.looks import order as places

TITLE = "Cost by number of tasks"
AXES = (
    ("parameters_backbone", "backbone parameters", ""),
    ("macs", "multiply-adds, all tasks", "MAC"),
    ("macs_own_pass", "multiply-adds, own passes", "MAC"),
)
APART = frozenset({"tasks", "data", "steps"})


def data(results: Iterable[Aggregate], order: dict[str, Look]) -> list[tuple[str, dict[str, Any]]]:
    """For each family of studies on two or more numbers of tasks: a name and the curves of its methods."""
    families: dict[str, list[Aggregate]] = defaultdict(list)
    for result in results:
        config = {k: v for k, v in result.study.config.items() if k not in APART}
        families[json.dumps([config, result.study.device], sort_keys=True, default=str)].append(result)
    found = []
    for family in families.values():
        curves = _curves(family, order)
        if curves:
            first = min(family, key=lambda r: (-len(r.study.tasks), r.study.name))
            found.append((first.study.name, {"curves": curves, "note": ""}))
    return found


def _curves(family: list[Aggregate], order: dict[str, Look]) -> list[dict[str, Any]]:
    points: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for result in sorted(family, key=lambda r: r.study.name):
        for line in result.lines:
            for key, _, _ in AXES:
                cost = line.costs.get(key)
                if cost is not None and line.row.role == "study" and style.usable(cost.mean):
                    points[line.label][key].setdefault(len(result.study.tasks), cost.mean)
    return [
        {"label": label, "look": order[label], **{k: sorted(v.items()) for k, v in by_key.items()}}
        for label, by_key in sorted(points.items(), key=lambda item: (places(order[item[0]]), item[0]))
        if any(len(v) > 1 for v in by_key.values())
    ]


def draw(content: dict[str, Any]) -> Figure:
    """Parameters and multiply-adds by number of tasks: counts alone, as times of two studies are not comparable."""
    columns = style.across(len(AXES))
    lines = -(-len(AXES) // columns)
    made = style.figure(0.9 + 2.3 * lines)
    grid = made.subplots(lines, columns, squeeze=False).flat
    for axes, (key, name, unit) in zip(grid, AXES, strict=True):
        every = [v for curve in content["curves"] for _, v in curve.get(key, ())]
        scale, prefix = style.prefix(every)
        for curve in content["curves"]:
            if curve.get(key):
                tasks, values = zip(*curve[key], strict=True)
                axes.plot(tasks, [v / scale for v in values], label=curve["label"], **style.line(curve["look"]))
        axes.set_xlabel("number of tasks")
        axes.set_ylabel(f"{name} ({prefix}{unit})" if prefix or unit else name)
        axes.set_ylim(bottom=0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.caption(made, "Cost of the deployed network by number of tasks", content["note"])
    style.legend(made, grid[0])
    return made
