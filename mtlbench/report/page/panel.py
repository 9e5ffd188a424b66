"""What the page's panel of Delta against cost draws: the points of a study with their looks, figures and costs."""

from __future__ import annotations

import json
import math
from typing import Any

from mtlbench.report.analysis.aggregate import Aggregate, Line, mean
from mtlbench.report.analysis.merit import merit, shown, worth
from mtlbench.report.plots.looks import Look
from mtlbench.report.tables.naming import counted
from mtlbench.report.text import minus, number, si

COSTS = (
    ("macs", "Multiply-adds, all tasks", "MAC"),
    ("parameters", "Parameters", ""),
    ("parameters_ratio", "Backbone, × plain", "×"),
    ("latency_ms", "Latency, all tasks", "ms"),
    ("training_flops", "Training compute", "FLOP"),
    ("memory", "Peak memory", "B"),
)
PLAIN = ("latency_ms", "parameters_ratio")  # stand as they are, without a prefix
HUGE = 1e30  # what is larger is no measurement


def panel(result: Aggregate, looks: dict[str, Look]) -> str:
    """The panel's data as JSON; "" where fewer than two rows have a figure and a cost."""
    points = [p for line in result.lines if (p := _point(result, line, looks[line.label])) is not None]
    costs = [{"key": k, "name": name, "unit": unit, "prefix": k not in PLAIN} for k, name, unit in COSTS
             if sum(k in p["costs"] for p in points) > 1]  # fmt: skip
    if not costs:
        return ""
    delta = merit(result) == "Δ"
    axis = "Δ over single-task (%)" if delta else "mean skill"
    one = len(result.study.seeds) == 1
    note = "One seed: no interval, no ranking." if one else "Lines: 95 % t intervals over seeds."
    return json.dumps({"points": points, "costs": costs, "axis": axis, "zero": delta, "note": note})


def _point(result: Aggregate, line: Line, look: Look) -> dict[str, Any] | None:
    figure = mean(worth(result, line))
    costs = {k: line.costs[k].mean for k, _, _ in COSTS if k in line.costs}
    costs = {k: v for k, v in costs.items() if _usable(v)}
    if not costs or not figure.n or not _usable(figure.mean):
        return None
    span = [figure.low, figure.high] if _usable(figure.low) and _usable(figure.high) else None
    told = {k: number(v, 2) + f" {unit}" if k in PLAIN else si(v, unit) for k, _, unit in COSTS if (v := costs.get(k))}
    return {
        "label": counted(line),
        "look": list(look),
        "value": figure.mean,
        "span": span,
        "figure": minus(shown(merit(result), figure)),
        "costs": costs,
        "told": told,
        "control": line.row.role == "control",
    }


def _usable(value: float) -> bool:
    return math.isfinite(value) and abs(value) < HUGE
