"""Tuning: the best validation score of each method so far, by the number of its trials."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.trials import best_so_far, trials
from mtlbench.report.plots import style
from mtlbench.report.plots.looks import Look
from mtlbench.report.plots.looks import order as places
from mtlbench.report.text import clean

TITLE = "Tuning: best validation score by number of trials"


def data(result: Aggregate, order: dict[str, Look]) -> dict[str, Any] | None:
    """A curve a method; None where none has two trials."""
    looks = {line.row.method: order[line.label] for line in reversed(result.lines)}
    curves: list[dict[str, Any]] = []
    for name, tried in sorted(trials(result).items()):
        points = [(i, x) for i, x in enumerate(best_so_far(tried), 1) if style.usable(x)]
        if points and name in looks:
            curves.append({"label": clean(name, 60), "look": looks[name], "points": points})
    curves.sort(key=lambda c: (places(c["look"]), c["label"]))
    return {"curves": curves} if any(len(c["points"]) > 1 for c in curves) else None


def draw(content: dict[str, Any]) -> Figure:
    """Steps upwards, with a marker at the trial that was chosen."""
    made = style.figure(2.6, 5.0)
    axes = made.subplots()
    for curve in content["curves"]:
        steps, scores = zip(*curve["points"], strict=True)
        chosen = scores.index(max(scores))
        axes.plot(
            steps,
            scores,
            markevery=[chosen],
            label=curve["label"],
            **{**style.line(curve["look"]), "drawstyle": "steps-post"},
        )
    axes.set_xlabel("trials")
    axes.set_ylabel("best score, validation")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    style.caption(made, "Tuning", "on seeds outside the study; marker: the trial that was chosen")
    style.legend(made, axes)
    return made
