"""Classified: a few test items of every task with one label an input, and what each method says of them."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.plots import sample_sheets, style
from mtlbench.report.plots.looks import Look
from mtlbench.report.reading.samples import Array, Items
from mtlbench.report.text import clean
from mtlbench.tasks.pictures import ANSWERS

TITLE = "Gallery: test items, their classes and each method's answers"
TASKS = 8
PICTURE, TEXT, ANSWER, ROW, HEAD = 0.62, 2.7, 0.66, 0.56, 0.75  # inches
LINE, LINES = 62, 4  # characters of a text's line, and lines shown
COLOURS = {True: "#00734F", False: "#B34700", None: style.INK}
MARKS = {True: "✓ ", False: "✗ ", None: ""}
NOTES = {
    "class": "✓ right, ✗ wrong; below it the probability it gives",
    "level": "✓ right, ✗ wrong; below it by how many levels",
    "labels": "✓ right, ✗ wrong; below it how many labels are",
    "value": "below a number its error",
}


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """Whose samples are shown."""
    return sample_sheets.data(result, ANSWERS)


def draw(content: dict[str, Any]) -> Figure:
    """A line an item, task by task: the item, the truth, then the methods' answers."""
    shown, lost = sample_sheets.read(content)
    tasks = list(shown[0][1])[:TASKS] if shown else []
    lines = [(task, i) for task in tasks for i in range(len(shown[0][1][task].inputs))]
    texts = any(shown[0][1][task].inputs.ndim == 1 for task in tasks)
    item = TEXT if texts else PICTURE
    left = 0.9  # the tasks' names
    width = left + item + 0.1 + ANSWER * (len(shown) + 1)
    height = HEAD + ROW * len(lines)
    made = style.figure(height, max(width, 4.0))
    axes = made.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, max(width, 4.0))
    axes.set_ylim(height, 0)
    for column, name in enumerate(["truth", *(label for label, _ in shown)]):
        x = left + item + 0.1 + ANSWER * (column + 0.5)
        weight = "bold" if column == 0 else "normal"
        axes.text(x - 0.12, HEAD - 0.06, style.shorten(name, 18), rotation=35, ha="left", fontsize=7, fontweight=weight)
    for row, (task, index) in enumerate(lines):
        top = HEAD + ROW * row
        if index == 0:
            axes.plot([0, width], [top, top], color=style.GRID, linewidth=0.6)
            axes.text(0.02, top + 0.1, style.shorten(task, 14), va="top", fontsize=7, fontweight="bold")
        items = [found[task] for _, found in shown]
        _item(axes, items[0], index, left, top)
        _answers(axes, items, index, left + item + 0.1, top + ROW / 2)
    views = dict.fromkeys(shown[0][1][task].view for task in tasks) if shown else ("class",)
    style.caption(made, "Gallery of test items", content["note"], lost, *(NOTES[view] for view in views))
    return made


def _item(axes: Axes, items: Items, index: int, x: float, y: float) -> None:
    """A picture as large as the line is high, or the beginning of a text."""
    if items.inputs.ndim == 1:
        words = textwrap.wrap(clean(items.inputs[index], 400), LINE, max_lines=LINES, placeholder=" …")
        axes.text(x, y + ROW / 2, "\n".join(words), va="center", fontsize=5.5)
        return
    height, width = items.inputs.shape[1:3]
    side = (ROW - 0.06) / max(height, width)
    extent = (x, x + side * width, y + 0.03 + side * height, y + 0.03)
    axes.imshow(items.inputs[index], extent=extent, interpolation="none", aspect="auto")


def _answers(axes: Axes, rows: list[Items], index: int, x: float, y: float) -> None:
    """The truth, then what each method says: its mark, its words, and below them how sure or how far off it is."""
    name = style.shorten(_truth(rows[0], index), 11)
    axes.text(x + ANSWER / 2, y, name, ha="center", va="center", fontsize=6.5, fontweight="bold")
    for column, items in enumerate(rows, 1):
        said, right, note = _said(items, index)
        word = style.shorten(said, 9)
        text = f"{MARKS[right]}{word}\n{note}"
        middle = x + ANSWER * (column + 0.5)
        axes.text(middle, y, text, ha="center", va="center", fontsize=6, color=COLOURS[right])


def _truth(items: Items, index: int) -> str:
    truth = items.truth[index]
    if items.view in ("class", "level"):
        return _name(items, int(truth)) if truth >= 0 else "?"
    return _labels(items, truth) if items.view == "labels" else _numbers(truth)


def _said(items: Items, index: int) -> tuple[str, bool | None, str]:
    """An answer in words, whether it is right (None where that is no yes or no), and a note."""
    answer, truth = items.prediction[index], items.truth[index]
    if items.view == "class":
        best = int(answer.argmax())
        return _name(items, best), best == truth, f"{float(answer[best]):.2f}"
    if items.view == "level":
        return _name(items, int(answer)), bool(answer == truth), f"{int(answer - truth):+d}" if truth >= 0 else ""
    if items.view == "labels":
        wrong = int(((answer > 0.5) != (truth == 1))[np.isfinite(truth)].sum())
        return _labels(items, answer), wrong == 0, f"{wrong} wrong" if wrong else ""
    return _numbers(answer), None, _numbers(answer - truth, "+") if np.isfinite(truth).all() else ""


def _name(items: Items, index: int) -> str:
    return clean(items.name(index), 40)


def _labels(items: Items, answer: Array) -> str:
    return ", ".join(_name(items, int(i)) for i in np.flatnonzero(answer > 0.5)) or "none"


def _numbers(values: Array, sign: str = "") -> str:
    return ", ".join(f"{float(v):{sign}.3g}" if np.isfinite(v) else "?" for v in values)
