"""Figures as they are looked at: nothing is cut off at the edge, axes have readable units, legends fill their width."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from mtlbench.report.plots import figures as plots
from mtlbench.report.plots import pareto, style
from mtlbench.report.plots import trials as tuning
from mtlbench.report.plots.looks import looks
from mtlbench.report.report import read

NAMES = ("wide-hard-sharing", "narrow-single-task", "random-policy", "stochastic-depth")


@pytest.fixture(scope="module")
def twelve(synthetic: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> dict[str, plots.Figure]:
    """Twelve methods, three seeds and a control with a long name."""
    root = tmp_path_factory.mktemp("twelve")
    for method in (*synthetic.METHODS, *NAMES):
        for seed in range(3):
            synthetic.run(root, method, seed, per_image=False)
    synthetic.run(root, "hard-sharing", 0, steps=3000, role="control", per_image=False)
    return {f.kind: f for f in plots.figures(read(root).aggregates)}


@pytest.mark.parametrize("kind", ["delta", "metrics", "transfer", "curves"])
def test_no_label_leaves_the_figure(twelve: dict[str, plots.Figure], kind: str) -> None:
    with style.context():
        made = plots.KINDS[kind].draw(twelve[kind].content)
        made.draw_without_rendering()
        width = made.get_figwidth() * made.dpi
        boxes = [box for axes in made.axes if (box := axes.get_tightbbox()) is not None]
        boxes += [legend.get_window_extent() for legend in made.legends]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= width
    for a, b in zip(
        sorted(boxes[:2], key=lambda box: box.x0), sorted(boxes[:2], key=lambda box: box.x0)[1:], strict=False
    ):
        assert a.x1 <= b.x0 + 1 or a.y0 >= b.y1 - 1 or b.y0 >= a.y1 - 1


def test_an_axis_has_the_prefix_of_its_largest_value() -> None:
    assert style.prefix([2e9, 4e12]) == (1e12, "T")
    assert style.prefix([0.4e6, 0.9e6]) == (1e3, "k")
    assert style.prefix([]) == style.prefix([0.5]) == (1.0, "")


def test_the_axes_of_cost_are_drawn_with_it(twelve: dict[str, plots.Figure]) -> None:
    with style.context():
        made = pareto.draw(dict(twelve["delta"].content))
    heads = [axes.get_xlabel() for axes in made.axes]
    assert heads == [
        "Parameters (M)",
        "Multiply-adds, all tasks (GMAC)",
        "Latency, all tasks (ms)",
        "Training compute (PFLOP)",
    ]


def test_a_legend_has_as_many_columns_as_fit(twelve: dict[str, plots.Figure]) -> None:
    for labels, most, columns in ((["a" * 30] * 8, 4, 3), (["a" * 10] * 8, 4, 4), (["a" * 90, "b" * 90], 4, 1)):
        assert next((n for n in range(most, 1, -1) if style.breadth(labels, n) <= style.LETTERS), 1) == columns
    assert style.breadth(["aaa", "b", "cc"], 2) == 3 + 2 + 16  # the first column takes the odd one


def test_the_curve_of_tuning_is_the_best_so_far(small: Path) -> None:
    result = read(small).aggregates[0]
    run = next(o for o in result.study.runs if o.counts and o.method == "nddr")
    scores = [0.2, None, 0.1, 0.5]
    trials = [replace(run, role="tune", trial=i, validation=x, status="finished") for i, x in enumerate(scores)]
    study: Any = SimpleNamespace(trials=trials[::-1])
    content = tuning.data(SimpleNamespace(study=study, lines=result.lines), looks([result]))  # type: ignore[arg-type]
    assert content is not None
    (curve,) = content["curves"]
    assert curve["label"] == "nddr"
    assert curve["points"] == [(1, 0.2), (2, 0.2), (3, 0.2), (4, 0.5)]
    with style.context():
        (line,) = tuning.draw(content).axes[0].lines
    assert line.get_markevery() == [3]


def test_one_trial_is_no_curve(small: Path) -> None:
    result = read(small).aggregates[0]
    assert tuning.data(result, looks([result])) is None
