"""Negative and positive transfer: Delta of every method on every task, as a heat map."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mtlbench.report.analysis.aggregate import OVERALL, Aggregate, mean
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import Look
from mtlbench.report.tables.naming import task_name

TITLE = "Transfer: Delta of each method on each task"


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """Methods x tasks; None without a Delta."""
    reference = result.line("independent")
    lines = [x for x in result.lines if x is not reference and any(x.delta_primary.values())]
    names = [t.name for t in result.study.tasks]
    shared = result.line(
        "shared"
    )  # whose gain over all tasks is tested against single-task; the others' against its own
    apart = any(c.kind == "gain" and c.line is reference and c.test.real for c in result.claims)
    if not lines or not names:
        return None
    rows = []
    for line in lines:
        cells = {name: mean(line.delta_primary.get(name, {})).mean for name in (*names, OVERALL)}
        clear = {c.task.name for c in result.claims if c.kind == "harm" and c.line is line and c.task and c.test.real}
        clear |= {OVERALL} if line is shared and apart else set()
        shown = [(v, name in clear) if style.usable(v) else (None, False) for name, v in cells.items()]
        rows.append({"label": line.label, "cells": shown})
    seeds = len(result.study.seeds)
    return {"tasks": [*map(task_name, result.study.tasks), "Δ overall"], "rows": rows, "seeds": seeds}


def draw(content: dict[str, Any]) -> Figure:
    """Blue is better than single-task, orange worse; bold where the corrected test does."""
    rows, tasks = content["rows"], content["tasks"]
    values = np.array([[np.nan if v is None else v for v, _ in row["cells"]] for row in rows], dtype=float)
    reach = float(np.nanpercentile(np.abs(values), 95)) or 1.0
    made = style.figure(0.75 + 0.26 * max(len(rows), 2), min(style.WIDTH, 2.9 + 0.85 * len(tasks)))
    axes = made.subplots()
    colours = mpl.colormaps["PuOr"].with_extremes(bad="#EEEEEE")
    picture = axes.imshow(values, cmap=colours, vmin=-reach, vmax=reach, aspect="auto")
    bold_matters = content["seeds"] > 1
    for y, row in enumerate(rows):
        for x, (value, clear) in enumerate(row["cells"]):
            text = "n/a" if value is None else style.signed(value)
            ink = "white" if value is not None and abs(value) > 0.5 * reach else style.INK
            weight = "bold" if clear and bold_matters else "normal"
            axes.text(x, y, text, ha="center", va="center", color=ink, fontsize=7.5, fontweight=weight)
    axes.axvline(len(tasks) - 1.5, color="white", linewidth=4)
    axes.set_xticks(range(len(tasks)), [style.shorten(t, 22).replace(" (", "\n(") for t in tasks])
    if style.stacked():
        axes.tick_params(axis="x", labelrotation=35)
    axes.set_yticks(range(len(rows)), [style.shorten(row["label"], 18 if style.stacked() else 46) for row in rows])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    if not style.stacked():
        bar = made.colorbar(picture, ax=axes, shrink=0.9, pad=0.02, extend="both")
        bar.set_label("Δ (%)")
        bar.outline.set_visible(False)
    said = (
        "bold: shown to differ from single-task (corrected test; over all tasks for hard sharing alone)"
        if bold_matters
        else ""
    )
    style.caption(made, "Transfer: Δ over single-task by task", content["note"], said)
    return made
