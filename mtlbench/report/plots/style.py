"""One look for every figure: colours that colour-blind readers can tell apart, distinct markers, print sizes, fixed bytes."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mtlbench.report.text import SCALES

INK, SOFT, GRID = "#222222", "#666666", "#DDDDDD"
# Okabe and Ito (2008) without yellow, which is too light for paper; the two anchors are black and grey
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
ANCHORS = ({"color": INK, "marker": "s"}, {"color": "#7F7F7F", "marker": "o"})
MARKERS = ("^", "D", "v", "P", "X", "<", ">", "p", "h", "d", "*")
WIDTH = 7.0  # inches: two columns of a paper
LETTERS = 118  # of a legend's size, in that width
HUGE = 1e15  # beyond it a number is no measurement, and axes break

RC: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.labelsize": 8.0,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 6.0,
    "figure.dpi": 160,  # that of the PNG: letters measured at another are cut off at the edge
    "savefig.dpi": "figure",
    "svg.hashsalt": "mtlbench",
    "svg.fonttype": "path",
    "path.simplify": True,
    "text.parse_math": False,  # a "$" in a name is a "$"
    "text.usetex": False,
}


def look(index: int) -> dict[str, Any]:
    """Colour and marker of a method: 0 and 1 are the anchors, then 66 different pairs."""
    if index < len(ANCHORS):
        return dict(ANCHORS[index])
    place = index - len(ANCHORS)
    return {"color": COLOURS[place % len(COLOURS)], "marker": MARKERS[place % len(MARKERS)]}


# markers of one size in points differ much in area: these factors make them look alike
AREAS = {"*": 2.0, "<": 1.2, ">": 1.2, "^": 1.2, "v": 1.2, "P": 1.4, "X": 1.2, "p": 1.3, "h": 1.3, "d": 1.2, "D": 0.75}


def area(index: int, points: float = 36.0) -> float:
    """The marker's area for `scatter`, so that all methods look alike in weight."""
    return points * AREAS.get(look(index)["marker"], 1.0)


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, `height` (without the caption's) and `width` in inches."""
    made = Figure(figsize=(width, height + 0.4), layout="constrained")
    FigureCanvasAgg(made)
    return made


def across(panels: int) -> int:
    """Panels beside each other: three at most, and four as two by two."""
    return 2 if panels == 4 else min(panels, 3)


def legend(made: Figure, axes: Axes, columns: int = 4) -> None:
    """The methods' legend under the panels."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    if unique:
        columns = next((n for n in range(columns, 1, -1) if breadth(list(unique), n) <= LETTERS), 1)
        made.legend(list(unique.values()), list(unique), loc="outside lower center", ncols=columns, handletextpad=0.4)


def breadth(labels: Sequence[str], columns: int) -> int:
    """Letters that a legend of so many columns is wide: each is as wide as its longest label, and a handle."""
    size, more = divmod(len(labels), columns)
    ends = [size * i + min(i, more) for i in range(columns + 1)]
    return sum(max(map(len, labels[a:b]), default=0) + 8 for a, b in pairwise(ends))


def caption(made: Figure, title: str, *notes: str) -> None:
    """The title at the left, and below it in small what a reader of the figure alone must know."""
    height = made.get_figheight()
    note = "   ".join(n for n in notes if n)
    made.text(0.01, 1 - 0.05 / height, title, ha="left", va="top", fontsize=9.5, fontweight="bold", color=INK)
    if note:
        made.text(0.01, 1 - 0.23 / height, note, ha="left", va="top", fontsize=7, color=SOFT)
    engine = made.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.012, 0, 0.976, 1 - (0.4 if note else 0.26) / height))  # type: ignore[call-arg]


def shorten(text: str, limit: int = 40) -> str:
    """A label that fits a figure."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def usable(*values: float | None) -> bool:
    """Whether all these can be drawn."""
    return all(v is not None and math.isfinite(v) and abs(v) < HUGE for v in values)


def prefix(values: Sequence[float]) -> tuple[float, str]:
    """The scale of an axis that holds these values, and its letter: no 0.0125 PFLOP where 12.5 TFLOP can stand."""
    most = max(values, default=0.0)
    return next(((scale, letter) for scale, letter in SCALES if most >= scale), (1.0, ""))


def pad(axes: Axes, values: Sequence[float], axis: str, share: float = 0.08) -> None:
    """Limits around the values with a margin, also where all of them are equal."""
    if values:
        low, high = min(values), max(values)
        margin = (high - low) * share or abs(high) * 0.1 or 1.0
        (axes.set_xlim if axis == "x" else axes.set_ylim)(low - margin, high + margin)


def images(made: Figure) -> dict[str, bytes]:
    """The figure as PNG and SVG, the same bytes for the same figure."""
    png, svg = io.BytesIO(), io.BytesIO()
    engine = made.get_layout_engine()
    if engine is not None:
        engine.execute(made)  # once for both
        made.set_layout_engine("none")
    made.savefig(png, format="png", metadata={"Software": None})
    made.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    return {"png": png.getvalue(), "svg": b"\n".join(line.rstrip() for line in svg.getvalue().split(b"\n"))}


def context() -> Any:
    """Matplotlib under this style alone, whatever the user's own settings are."""
    settings: Any = {**mpl.rcParamsDefault, **RC, "backend": "agg"}
    return mpl.rc_context(settings)
