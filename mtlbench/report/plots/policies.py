"""Policies: which blocks each task executes, in every seed, how alike the tasks' policies are, and how they were learned."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import COLOURS, Look
from mtlbench.report.reading.reported_run import Policy

TITLE = "Policies: the blocks each task executes"
SHOWN = 3  # seeds of a row
ROWS = 6


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """The policies of every row that kept one."""
    found = []
    for line in result.lines:
        runs = [(s, r.policy) for s, r in sorted(line.row.runs.items()) if r.policy is not None]
        if runs:
            seeds = [{"seed": s, **_policy(p)} for s, p in runs[:SHOWN]]
            found.append({"label": line.label, "seeds": seeds, "of": len(runs), "history": _history(runs[0][1])})
    return {"rows": found[:ROWS]} if found else None


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "tasks": policy.tasks,
        "alpha": np.clip(np.round(policy.alpha, 4), 0, 1).tolist(),
        "decided": policy.decided,
        "undecided": policy.undecided,
    }


def _history(policy: Policy) -> list[Any]:
    """(step, mean over blocks of each task's alpha)."""
    return [(step, np.round(np.mean(alpha, axis=1), 4).tolist()) for step, alpha in policy.history[:200]]


def draw(content: dict[str, Any]) -> Figure:
    """A line of panels a row: its seeds, then the history of the first."""
    rows = content["rows"]
    seeds = max(len(r["seeds"]) for r in rows)
    history = any(len(r["history"]) > 1 for r in rows)
    tasks = max(len(s["tasks"]) for r in rows for s in r["seeds"])
    columns = seeds + 1 + history
    widths = [1.0] * seeds + [0.16 * tasks] + [1.2] * history
    if style.stacked():
        made = style.figure(0.3 + len(rows) * columns * (0.75 + 0.2 * tasks))
        grid = made.subplots(len(rows) * columns, 1, squeeze=False).reshape(len(rows), columns)
    else:
        made = style.figure(0.3 + len(rows) * (0.95 + 0.2 * tasks))
        grid = made.subplots(len(rows), columns, squeeze=False, gridspec_kw={"width_ratios": widths})
    for line, row in zip(grid, rows, strict=True):
        for axes in line[len(row["seeds"]) : seeds]:
            axes.set_visible(False)
        for i, (axes, seed) in enumerate(zip(line, row["seeds"], strict=False)):
            _grid(axes, seed, i == 0 or style.stacked())
        shown = len(row["seeds"])
        head = style.shorten(row["label"], 60) + (f": {shown} of {row['of']} seeds" if shown < row["of"] else "")
        text = line[0].annotate(
            head, (0, 1), (0, 17), "axes fraction", "offset points", fontsize=8.5, fontweight="bold"
        )
        text.set_in_layout(False)  # it may be wider than its panel; the panels' titles keep its line free
        _similarity(line[seeds], row["seeds"][0])
        if history:
            _curve(line[-1], row)
    style.caption(
        made,
        "Policies",
        content["note"],
        "filled: block executed; dot: skipped; darker: executed with higher probability α",
        "alike: 1 − mean |Δα| of two tasks, and mean α: of the first seed",
    )
    return made


def _doubt(seed: dict[str, Any]) -> str:
    return " · undecided" if seed["undecided"] else ""


def _grid(axes: Axes, seed: dict[str, Any], named: bool) -> None:
    """Tasks downwards, blocks from the first to the last."""
    tasks, blocks = len(seed["tasks"]), len(seed["alpha"][0])
    for y, (alpha, decided) in enumerate(zip(seed["alpha"], seed["decided"], strict=True)):
        for x, (a, d) in enumerate(zip(alpha, decided, strict=True)):
            shade = 0.25 + 0.75 * a
            face = (*(1 - (1 - np.array([0.0, 0.447, 0.698])) * shade), 1.0) if d else "white"
            axes.add_patch(
                Rectangle((x - 0.43, y - 0.4), 0.86, 0.8, facecolor=face, edgecolor=style.SOFT, linewidth=0.5)
            )
            if not d:
                axes.plot([x], [y], ".", color=COLOURS[1], markersize=3)
    axes.set_xlim(-0.6, blocks - 0.4)
    axes.set_ylim(tasks - 0.45, -0.55)
    axes.set_yticks(range(tasks), [style.shorten(t, 16) for t in seed["tasks"]] if named else [""] * tasks)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("block")
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title(f"\nseed {seed['seed']}{_doubt(seed)}", loc="left", fontweight="normal")


def similarity(alpha: Any) -> Any:
    """How alike the tasks' policies (T, L) are: 1 - the mean of |alpha_i - alpha_j| over blocks, (T, T)."""
    rows = np.asarray(alpha, dtype=np.float64)
    return 1 - np.abs(rows[:, None] - rows[None]).mean(-1)


def _similarity(axes: Axes, seed: dict[str, Any]) -> None:
    """Task by task, in the order of the panels beside it."""
    table = similarity(seed["alpha"])
    tasks = len(table)
    for y, x in np.ndindex(tasks, tasks):
        shade = 0.85 * max(0.0, 2 * table[y, x] - 1)  # white at a half and below
        face = 1 - (1 - np.array([0.0, 0.447, 0.698])) * shade
        axes.add_patch(Rectangle((x - 0.46, y - 0.46), 0.92, 0.92, facecolor=(*face, 1.0), edgecolor="none"))
        ink = "white" if shade > 0.6 else style.INK
        if x != y:
            axes.text(x, y, f"{table[y, x]:.2f}".removeprefix("0"), ha="center", va="center", fontsize=5, color=ink)
    axes.set_xlim(-0.55, tasks - 0.45)
    axes.set_ylim(tasks - 0.45, -0.55)
    axes.set_xticks(range(tasks), [style.shorten(t, 12) for t in seed["tasks"]], rotation=40, ha="right", fontsize=6)
    axes.set_yticks([])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    axes.set_title("\nalike", loc="left", fontweight="normal")


def _curve(axes: Axes, row: dict[str, Any]) -> None:
    if len(row["history"]) < 2:
        axes.set_visible(False)
        return
    steps, alphas = zip(*row["history"], strict=True)
    for i, (name, values) in enumerate(zip(row["seeds"][0]["tasks"], zip(*alphas, strict=True), strict=False)):
        colour = COLOURS[i % len(COLOURS)]
        axes.plot(steps, values, label=style.shorten(name, 14), linewidth=1.2, color=colour)
    axes.axhline(0.5, color=style.SOFT, linewidth=0.6, linestyle=(0, (4, 3)))
    axes.set_ylim(0, 1)
    axes.set_title("\nmean α", loc="left", fontweight="normal")
    axes.set_xlabel("training step")
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.legend(
        fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.0, borderaxespad=0.3
    )  # on no curve
