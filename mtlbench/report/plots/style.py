"""One look for every figure: colours that colour-blind readers can tell apart, distinct markers, print sizes, fixed bytes."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise, takewhile
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from mtlbench.report.plots.looks import INK as INK
from mtlbench.report.text import SCALES

SOFT, GRID = "#666666", "#DDDDDD"
WIDTH = 7.0  # inches: two columns of a paper
NARROW = 3.1  # the screen of a phone, which shows it larger than print: 7 points are 11 pixels there
LETTERS = 118  # of a legend's size, in that width
LINE, HEAD = 19, 11.5  # letters of a note and of a title on an inch: none is cut off at the edge
SEEDS = re.compile(r" \(\d+ of \d+ seeds\)$")  # the end of a label of a row with missing seeds
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
    "axes.formatter.useoffset": False,  # a tick says what it is, without a sum at the end of the axis
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


# markers of one size in points differ much in area: these factors make them look alike
AREAS = {"*": 2.0, "<": 1.2, ">": 1.2, "^": 1.2, "v": 1.2, "P": 1.4, "X": 1.2, "p": 1.3, "h": 1.3, "d": 1.2, "D": 0.75}
LINES: tuple[Any, ...] = ("-", (0, (4, 2)), (0, (1, 1.5)), (0, (5, 1.5, 1, 1.5)))  # of a method's rows
FADED = 0.55  # of white in the third row's marker


def _fill(look: Sequence[Any]) -> Any:
    """A method's first row is filled, the others are hollow, but every third one faded."""
    colour, _, variant = look
    if not variant:
        return colour
    white = FADED if variant % 3 == 2 else 1.0
    return tuple(part + (1 - part) * white for part in to_rgb(colour))


def line(look: Sequence[Any]) -> dict[str, Any]:
    """Colour, dashes and marker of a method's curve."""
    colour, marker, variant = look
    fill = {"markerfacecolor": _fill(look), "markeredgecolor": colour}
    return {"color": colour, "marker": marker, "linestyle": LINES[variant % len(LINES)], **fill}


def dot(look: Sequence[Any], points: float = 36.0) -> dict[str, Any]:
    """A method's point for `scatter`: the area is such that all markers look alike in weight."""
    colour, marker, variant = look
    edge = (colour, 1.2) if variant else ("white", 0.6)
    return {"marker": marker, "facecolor": _fill(look), "edgecolor": edge[0], "linewidth": edge[1],
            "s": points * AREAS.get(marker, 1.0)}  # fmt: skip


_PHONE: ContextVar[bool] = ContextVar("phone", default=False)


@contextmanager
def phone() -> Iterator[None]:
    """Figures for a narrow screen: panels stand below each other."""
    token = _PHONE.set(True)
    try:
        yield
    finally:
        _PHONE.reset(token)


def stacked() -> bool:
    """Whether the figure is for a narrow screen."""
    return _PHONE.get()


def figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, `height` (without the caption's) and `width` in inches."""
    made = Figure(figsize=(min(width, NARROW) if stacked() else width, height + 0.4), layout="constrained")
    FigureCanvasAgg(made)
    return made


def across(panels: int) -> int:
    """Panels beside each other: three at most, and four as two by two; on a narrow screen one."""
    if stacked():
        return 1
    return 2 if panels == 4 else min(panels, 3)


def legend(made: Figure, axes: Axes, columns: int = 4) -> None:
    """The methods' legend under the panels: an entry a label, shortened here, so that no two become one."""
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    if unique:
        room = LETTERS * made.get_figwidth() / WIDTH
        shown = [shorten(label) for label in unique]
        columns = next((n for n in range(columns, 1, -1) if breadth(shown, n) <= room), 1)
        made.legend(list(unique.values()), shown, loc="outside lower center", ncols=columns, handletextpad=0.4)


def breadth(labels: Sequence[str], columns: int) -> int:
    """Letters that a legend of so many columns is wide: each is as wide as its longest label, and a handle."""
    size, more = divmod(len(labels), columns)
    ends = [size * i + min(i, more) for i in range(columns + 1)]
    return sum(max(map(len, labels[a:b]), default=0) + 8 for a, b in pairwise(ends))


def caption(made: Figure, title: str, *notes: str) -> None:
    """The title at the left, and below it in small what a reader of the figure alone must know."""
    width = made.get_figwidth()
    heads = textwrap.wrap(title, int(HEAD * width))
    said = textwrap.wrap(" · ".join(n for n in notes if n), int(LINE * width))
    above = 0.26 + 0.16 * (len(heads) - 1) + (0.03 + 0.11 * len(said) if said else 0.0)
    height = made.get_figheight() + max(above - 0.4, 0.0)
    made.set_figheight(height)
    made.text(
        0.01, 1 - 0.05 / height, "\n".join(heads), ha="left", va="top", fontsize=9.5, fontweight="bold", color=INK
    )
    if said:
        top = 0.07 + 0.16 * len(heads)
        made.text(0.01, 1 - top / height, "\n".join(said), ha="left", va="top", fontsize=7, color=SOFT)
    engine = made.get_layout_engine()
    if engine is not None:
        engine.set(rect=(0.012, 0, 0.976, 1 - above / height))  # type: ignore[call-arg]


def shorten(text: str, limit: int = 46) -> str:
    """A label that fits a figure: settings lose what all their names begin with, then the end is cut; how many of its
    seeds there are stays."""
    limit = min(limit, 24) if stacked() else limit
    if len(text) > limit:
        text = _without_prefix(text)
    ending = found[0] if (found := SEEDS.search(text)) else ""
    return text if len(text) <= limit else text[: limit - 1 - len(ending)].rstrip() + "…" + ending


def _without_prefix(text: str) -> str:
    """ "m (a.b_x=1, a.b_y=2)" as "m (x=1, y=2)"."""
    head, bracket, rest = text.partition(" (")
    names = sorted(re.findall(r"(?:^|, )([\w.]+)=", rest))
    if len(names) < 2:
        return text
    alike = len(list(takewhile(lambda pair: pair[0] == pair[1], zip(names[0], names[-1], strict=False))))
    prefix = re.sub(r"[^._]*$", "", names[0][:alike])
    return head + bracket + re.sub(rf"(^|, ){re.escape(prefix)}", r"\1", rest)


def signed(value: float) -> str:
    """A difference with its sign, a real minus, and one decimal."""
    return f"{value:+.1f}".replace("-", "\u2212")


def usable(*values: float | None) -> bool:
    """Whether all these can be drawn."""
    return all(v is not None and math.isfinite(v) and abs(v) < HUGE for v in values)


def prefix(values: Sequence[float]) -> tuple[float, str]:
    """The scale of an axis that holds these values, and its letter: no 0.0125 PFLOP where 12.5 TFLOP can stand."""
    most = max(values, default=0.0)
    return next(((scale, letter) for scale, letter in SCALES if most >= scale), (1.0, ""))


def pad(axes: Axes, values: Sequence[float], axis: str, share: float = 0.08, least: float = 0.0) -> None:
    """Limits around the values with a margin, also where all of them are equal: `least` is its least share of them."""
    if values:
        low, high = min(values), max(values)
        margin = max((high - low) * share, least * abs(high)) or abs(high) * 0.1 or 1.0
        (axes.set_xlim if axis == "x" else axes.set_ylim)(low - margin, high + margin)


def images(made: Figure) -> dict[str, bytes]:
    """The figure as PNG and SVG, the same bytes for the same figure; for a narrow screen as SVG alone."""
    png, svg = io.BytesIO(), io.BytesIO()
    engine = made.get_layout_engine()
    if engine is not None:
        engine.execute(made)  # once for both
        made.set_layout_engine("none")
    made.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    text = b"\n".join(line.rstrip() for line in svg.getvalue().split(b"\n"))
    if stacked():
        return {"narrow.svg": text}
    made.savefig(png, format="png", metadata={"Software": None})
    return {"png": png.getvalue(), "svg": text}


def context() -> Any:
    """Matplotlib under this style alone, whatever the user's own settings are."""
    settings: Any = {**mpl.rcParamsDefault, **RC, "backend": "agg"}
    return mpl.rc_context(settings)
