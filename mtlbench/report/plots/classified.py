"""Classified: a few test items of every classification task, and what each method says they are."""

from __future__ import annotations

import textwrap
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.plots import sample_sheets, style
from mtlbench.report.plots.looks import Look
from mtlbench.report.reading.samples import Items
from mtlbench.report.text import clean

TITLE = "Gallery: test items, their classes and each method's answers"
TASKS = 8
PICTURE, TEXT, ANSWER, ROW, HEAD = 0.62, 2.7, 0.66, 0.56, 0.75  # inches
LINE, LINES = 62, 4  # characters of a text's line, and lines shown
RIGHT, WRONG = "#00734F", "#B34700"


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """Whose samples are shown."""
    return sample_sheets.data(result, ("class",))


def draw(content: dict[str, Any]) -> Figure:
    """A line an item, task by task: the item, its class, then the methods' answers."""
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
    style.caption(
        made, "Gallery of test items", content["note"], lost, "✓ right, ✗ wrong; below it the probability it gives"
    )
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
    """The class, then what each method says: its mark, class and probability."""
    first = rows[0]
    truth = int(first.truth[index])
    name = style.shorten(clean(first.name(truth), 40), 11) if truth >= 0 else "?"
    axes.text(x + ANSWER / 2, y, name, ha="center", va="center", fontsize=6.5, fontweight="bold")
    for column, items in enumerate(rows, 1):
        probabilities = items.prediction[index]
        said = int(probabilities.argmax())
        right = said == truth
        word = style.shorten(clean(items.name(said), 40), 9)
        text = f"{'✓' if right else '✗'} {word}\n{float(probabilities[said]):.2f}"
        middle = x + ANSWER * (column + 0.5)
        axes.text(middle, y, text, ha="center", va="center", fontsize=6, color=RIGHT if right else WRONG)
