"""Gallery: a few test images, the ground truth of every dense task, and what each method makes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.plots import sample_sheets, style
from mtlbench.report.plots.looks import Look
from mtlbench.report.reading.samples import Items
from mtlbench.tasks.pictures import DENSE, MAPS, Array, coloured, palette, span

TITLE = "Gallery: test images, ground truth and each method's predictions"
COLUMNS = 10
CELL, NAMES = 0.82, 1.15  # inches: the width of a picture, and of the methods' names
GAP, ABOVE, TALL = 0.05, 0.38, 1.6  # of a picture's width: between pictures, over the truth, and the input's height
LEGEND = 24  # classes named


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """Whose samples are shown."""
    return sample_sheets.data(result, DENSE)


def draw(content: dict[str, Any]) -> Figure:
    """Items side by side, each with its tasks; the input on top, then the truth, then a line a method."""
    shown, lost = sample_sheets.read(content)
    views = {t["name"]: (t["view"], t["channels"]) for t in content["tasks"] if shown and t["name"] in shown[0][1]}
    if not views:
        return _empty(content, lost)
    first = shown[0][1]
    units = {t["name"]: t["unit"] for t in content["tasks"]}
    numbers = any(view in MAPS for view, _ in views.values())
    count = max(1, min(len(next(iter(first.values())).inputs), COLUMNS // len(views)))
    height, width = next(iter(first.values())).inputs.shape[1:3]
    tall = height / width
    rows = len(shown) + 1
    top = TALL * tall + ABOVE  # where the truth begins, in picture widths
    depth, breadth = top + rows * (tall + GAP), count * (len(views) * (1 + GAP) + 3 * GAP)
    made = style.figure(CELL * depth + 0.5, NAMES + CELL * breadth)
    axes = made.subplots()
    axes.set_axis_off()
    axes.set_xlim(-NAMES / CELL, breadth)
    axes.set_ylim(depth, 0)
    made.suppressComposite = True  # pictures keep their own pixels in SVG
    for y, name in enumerate(["ground truth", *(label for label, _ in shown)]):
        weight = "bold" if y == 0 else "normal"
        middle = top + y * (tall + GAP) + tall / 2
        axes.text(-0.08, middle, style.shorten(name, 20), ha="right", va="center", fontsize=7, fontweight=weight)
    for item in range(count):
        left = item * (breadth / count)
        centre = left + (len(views) * (1 + GAP) - GAP) / 2
        inputs = next(iter(first.values())).inputs[item]
        _place(axes, inputs, centre - TALL / 2, 0.0, TALL, TALL * tall)
        for k, (task, (view, classes)) in enumerate(views.items()):
            x = left + k * (1 + GAP)
            head = style.shorten(task, 14) + (_scale(view, first[task].truth[item], units[task]) if numbers else "")
            axes.text(x + 0.5, top - 0.06, head, ha="center", va="bottom", fontsize=6.5)
            for y, picture in enumerate(_column(view, classes, [items[task] for _, items in shown], item)):
                _place(axes, picture, x, top + y * (tall + GAP), 1.0, tall)
    axes.set_aspect("equal")  # imshow has set its own
    _legend(made, shown, views, count)
    said = "dark grey: no label" + ("; colours of numbers span the truth's values, near is bright" if numbers else "")
    style.caption(made, "Gallery of test images", content["note"], lost, said)
    return made


def _scale(view: str, truth: Array, unit: str) -> str:
    """A second line of a head: the values at the ends of the colours, with their unit, where a picture is of numbers."""
    if view not in MAPS:
        return "\n "
    low, high = span(truth.astype(np.float64))
    return f"\n{low:.2g} to {high:.2g} {unit}".rstrip()


def _empty(content: dict[str, Any], lost: str) -> Figure:
    made = style.figure(0.3)
    made.subplots().set_axis_off()
    style.caption(made, "Gallery of test images", content["note"], lost)
    return made


def _column(view: str, classes: int, rows: list[Items], item: int) -> list[Array]:
    """The pictures of one task and item: the truth, then each method's prediction on the same scale."""
    truth = rows[0].truth[item]
    if view == "classes":
        labels = [truth, *(np.maximum(r.prediction[item], 0) for r in rows)]
        return [coloured(view, label, classes) for label in labels]
    labels = [a.astype(np.float64) for a in (truth, *(r.prediction[item] for r in rows))]
    limits = span(labels[0]) if view in MAPS else None
    return [coloured(view, label, limits=limits) for label in labels]


def _place(axes: Axes, picture: Array, x: float, y: float, width: float, height: float) -> None:
    axes.imshow(picture, extent=(x, x + width, y + height, y), interpolation="none", aspect="auto")


def _legend(made: Figure, shown: sample_sheets.Shown, views: dict[str, tuple[str, int]], count: int) -> None:
    """The classes in view, those that cover most first."""
    handles = []
    for task, (view, classes) in views.items():
        if view != "classes":
            continue
        maps = [shown[0][1][task].truth[:count], *(items[task].prediction[:count] for _, items in shown)]
        seen = np.concatenate([v[v >= 0] for v in maps])
        areas = np.bincount(seen, minlength=classes)
        colours = palette(classes) / 255
        largest = [int(c) for c in np.argsort(-areas, kind="stable") if areas[c]][:LEGEND]
        names = shown[0][1][task]
        handles += [Patch(facecolor=colours[c], label=style.shorten(names.name(c), 18)) for c in largest]
    if handles:
        wide = max(len(str(h.get_label())) for h in handles)
        columns = max(1, min(len(handles), int(made.get_figwidth() / (0.32 + 0.065 * wide))))
        made.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=6.5, handlelength=1.0)
