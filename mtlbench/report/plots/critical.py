"""The critical-difference drawing: mean ranks on a line, and bars over those that cannot be told apart (Demsar 2006)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlbench.report.analysis.statistics import Ranks
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import COLOURS

TITLE = "Mean ranks over data sets, with the critical difference"


def data(found: Ranks) -> dict[str, Any]:
    """Names by mean rank."""
    ranked = sorted(zip(found.mean, found.names, strict=True))
    return {"ranked": ranked, "critical": found.critical, "blocks": found.blocks, "p": found.p, "note": ""}


def cliques(ranks: Sequence[float], critical: float) -> list[tuple[int, int]]:
    """The longest stretches of sorted ranks whose ends differ by less than `critical`: (first, last)."""
    found: list[tuple[int, int]] = []
    for i, start in enumerate(ranks):
        last = max(j for j, rank in enumerate(ranks) if rank - start < critical)
        if last > i and (not found or last > found[-1][1]):
            found.append((i, last))
    return found


def draw(content: dict[str, Any]) -> Figure:
    """Best at the left; names hang at both sides."""
    ranks = [rank for rank, _ in content["ranked"]]
    names = [name for _, name in content["ranked"]]
    groups = cliques(ranks, content["critical"])
    half = -(-len(names) // 2)
    made = style.figure(1.3 + 0.21 * half + 0.12 * len(groups))
    axes = made.subplots()
    low, high = 1, len(names)
    depth = 0.5 * len(groups) + 1
    for i, (rank, name) in enumerate(content["ranked"]):
        left = i < half
        y = -(depth + (i if left else len(names) - 1 - i))
        x = low - 0.03 * (high - low) if left else high + 0.03 * (high - low)
        axes.plot([rank, rank, x], [0, y, y], color=style.SOFT, linewidth=0.8)
        text = f"{style.shorten(name, 26)}  {rank:.2f}" if left else f"{rank:.2f}  {style.shorten(name, 26)}"
        axes.text(x, y, text, ha="right" if left else "left", va="center", fontsize=8)
    for level, (first, last) in enumerate(groups):
        y = -0.5 * (level + 1)
        axes.plot(
            [ranks[first] - 0.02, ranks[last] + 0.02], [y, y], color=style.INK, linewidth=3, solid_capstyle="round"
        )
    _ruler(axes, low, high, content["critical"])
    axes.set_xlim(low - 0.55 * (high - low), high + 0.55 * (high - low))
    axes.set_ylim(-(depth + half), 2.6)
    axes.axis("off")
    p = "< .001" if content["p"] < 0.001 else f"= {content['p']:.3f}"
    style.caption(
        made,
        f"Mean ranks over {content['blocks']} data sets",
        f"Friedman p {p}; bars join methods that cannot be told apart",
    )
    return made


def _ruler(axes: Axes, low: float, high: float, critical: float) -> None:
    axes.plot([low, high], [0, 0], color=style.INK, linewidth=1)
    for rank in range(int(low), int(high) + 1):
        axes.plot([rank, rank], [0, 0.25], color=style.INK, linewidth=0.8)
        axes.text(rank, 0.4, str(rank), ha="center", va="bottom", fontsize=7.5)
    axes.plot([low, low + critical], [1.7, 1.7], color=COLOURS[1], linewidth=2)
    axes.text(low + critical, 1.9, f"critical difference {critical:.2f}", ha="right", va="bottom", fontsize=7.5)
