"""Figures: what they are made of, the same bytes for the same data, and drawn only where something changed."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlbench.report import build
from mtlbench.report.analysis import ranking, statistics
from mtlbench.report.plots import critical, curves, pareto, policies, scaling, style, trees
from mtlbench.report.plots import figures as plots
from mtlbench.report.plots.looks import looks
from mtlbench.report.plots.pareto import front
from mtlbench.report.report import read
from mtlbench.report.tables.naming import counted

POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(-9, 9)), min_size=1, max_size=12)


@given(POINTS)
def test_the_front_holds_exactly_the_unbeaten(points: list[tuple[float, float]]) -> None:
    """A point is beaten if another is no dearer and no worse, and better in one."""
    unbeaten = {p for p in points if not any(q[0] <= p[0] and q[1] >= p[1] and q != p for q in points)}
    assert set(front(points)) == unbeaten


def test_cliques_are_the_longest_stretches() -> None:
    assert critical.cliques([1.0, 1.5, 2.9, 4.0, 4.2], 1.45) == [(0, 1), (1, 2), (2, 4)]
    assert critical.cliques([1.0, 3.0], 1.0) == []
    assert critical.cliques([1.0, 1.1, 1.2], 5.0) == [(0, 2)]


@pytest.fixture(scope="module")
def figures(small: Path) -> dict[str, plots.Figure]:
    found = plots.figures(read(small).aggregates)
    return {f.kind: f for f in found if f.study.startswith("rooms") or f.kind == "scaling"}


def test_every_kind_is_there(figures: dict[str, plots.Figure]) -> None:
    assert set(figures) >= {"delta", "metrics", "transfer", "curves", "policies"}


@pytest.mark.parametrize("kind", ["delta", "metrics", "transfer", "curves", "policies"])
def test_a_figure_is_drawn_to_the_same_bytes(figures: dict[str, plots.Figure], kind: str) -> None:
    first = figures[kind].draw()
    assert first["png"].startswith(b"\x89PNG")
    ElementTree.fromstring(first["svg"])
    assert b"<dc:date>" not in first["svg"]
    if kind == "transfer":
        assert figures[kind].draw() == first


def test_only_what_changed_is_drawn(synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[str] = []

    def draw(self: plots.Figure) -> dict[str, bytes]:
        drawn.append(self.name)
        return {"png": b"", "svg": b"<svg/>", "narrow.svg": b"<svg/>"}

    monkeypatch.setattr(plots.Figure, "draw", draw)
    for method in ("single-task", "hard-sharing"):
        for dataset in ("scenes", "rooms"):
            synthetic.run(tmp_path, method, 0, dataset, per_image=False)
    build.write(tmp_path)
    assert drawn
    drawn.clear()
    build.write(tmp_path)
    assert drawn == []
    synthetic.run(tmp_path, "nddr", 0, "rooms", per_image=False)
    build.write(tmp_path)
    assert drawn
    assert all(name.startswith("rooms") for name in drawn)
    (tmp_path / "figures" / f"{drawn[0]}.png").unlink()
    again = drawn[0]
    drawn.clear()
    build.write(tmp_path)
    assert drawn == [again]


def test_the_hash_is_of_data_and_code(figures: dict[str, plots.Figure]) -> None:
    figure = figures["delta"]
    other = plots.Figure(figure.name, figure.kind, figure.study, figure.alt, {**figure.content, "note": "other"})
    assert figure.hash != other.hash
    assert json.loads(json.dumps(figure.content)) == figure.content or figure.hash


def test_interval_of_the_points_is_that_of_delta(small: Path) -> None:
    from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, mean

    result = read(small).aggregates[0]
    order = looks([result])
    content = pareto.data(result, order)
    assert content is not None
    for point in content["points"]:
        line = next(x for x in result.lines if counted(x) == point["label"])
        assert point["delta"] == mean(line.series(DELTA_PRIMARY)).mean
        assert point["half"] == pytest.approx(mean(line.series(DELTA_PRIMARY)).half)


POINT = {"label": "nddr (1 of 3 seeds)", "look": ("#0072B2", "D", 0), "half": 0.0}


def test_costs_that_were_not_measured_have_no_panel_and_equal_ones_are_not_spread_out() -> None:
    """Training compute equal to a ten-thousandth is one place on an axis whose ticks say what they are."""
    costs = [{"macs": 1e8 * i, "training_flops": 25.35e12 + 1e8 * i} for i in (1, 2)]
    points = [{**POINT, "delta": float(i), "costs": c} for i, c in enumerate(costs)]
    with style.context():
        made = pareto.draw({"points": points, "note": ""})
        style.images(made)
    assert [a.get_xlabel() for a in made.axes] == ["Multiply-adds, all tasks (MMAC)", "Training compute (TFLOP)"]
    left, right = made.axes[1].get_xlim()
    assert right - left > 0.5
    assert made.axes[1].xaxis.get_offset_text().get_text() == ""


@pytest.mark.parametrize("width", [5.0, style.WIDTH, None])
def test_a_long_title_and_its_notes_end_within_the_figure(width: float | None) -> None:
    """At widths of paper, and on a phone (None)."""
    title, words = (
        "One task against another over the tasks' weights",
        "shaded: no better than some weights of hard-sharing",
    )
    with style.context(), style.phone() if width is None else nullcontext():
        made = style.figure(3.0, width or style.WIDTH)
        made.subplots()
        style.caption(made, title, *[words] * 5, "")
        style.images(made)
        ends = [t.get_window_extent().x1 for t in made.texts]
    assert len(ends) == 2
    assert max(ends) <= made.bbox.width


def test_a_shortened_label_keeps_how_many_seeds_there_are() -> None:
    with style.phone():
        assert style.shorten("adashare (1 of 3 seeds)") == "adashare (1 of 3 seeds)"
        assert style.shorten("hard-sharing-wide (1 of 3 seeds)") == "hard-sha… (1 of 3 seeds)"
    assert style.shorten("x" * 50) == "x" * 45 + "…"


def test_curves_average_the_seeds_that_reached_a_step(synthetic: ModuleType, tmp_path: Path) -> None:
    for seed in (0, 1):
        synthetic.run(tmp_path, "nddr", seed, per_image=False)
    result = read(tmp_path).aggregates[0]
    content = curves.data(result, looks([result]))
    assert content is not None
    (curve,) = content["panels"][0]["curves"]
    runs = [dict(r.curves["segmentation"]) for r in result.lines[0].row.every]
    for step, value, low, high in curve["points"]:
        assert value == pytest.approx(np.mean([r[step] for r in runs]))
        assert low <= value <= high


def test_policies_are_drawn_for_whoever_has_one(
    synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = synthetic.run(tmp_path, "adashare", 0, per_image=False)
    record = folder / "record.jsonl"
    record.write_text(record.read_text().replace('"adashare"', '"of-my-own"'))
    result = read(tmp_path).aggregates[0]
    content: Any = policies.data(result, {})
    assert content["rows"][0]["label"] == "of-my-own"
    assert content["rows"][0]["seeds"][0]["decided"]


def with_tree(folder: Path, tree: Any) -> None:
    """A run that keeps a tree beside its record."""
    (folder / "tree.json").write_text(json.dumps(tree))
    record = folder / "record.jsonl"
    first, *lines = record.read_text().splitlines()
    record.write_text(
        "\n".join([first, json.dumps({"kind": "artefact", "name": "tree", "path": "tree.json"}), *lines]) + "\n"
    )


def test_trees_are_drawn_without_crossing(synthetic: ModuleType, tmp_path: Path) -> None:
    paths = {"segmentation": [0, 0, 1], "normals": [0, 2, 2], "depth": [0, 0, 0]}
    with_tree(
        synthetic.run(tmp_path, "ltb", 0, per_image=False), {"levels": ["stem", "stage 1", "stage 2"], "paths": paths}
    )
    synthetic.run(tmp_path, "hard-sharing", 0, per_image=False)
    content: Any = trees.data(read(tmp_path).aggregates[0], {})
    (row,) = content["rows"]
    (seed,) = row["seeds"]
    assert seed["tasks"] == ["depth", "segmentation", "normals"]
    assert trees.places(seed["paths"]) == {
        (0,): (0, 1), (0, 0): (1, 0.5), (0, 2): (1, 2), (0, 0, 0): (2, 0), (0, 0, 1): (2, 1), (0, 2, 2): (2, 2),
    }  # fmt: skip
    with style.context():
        (axes,) = trees.draw({**content, "note": ""}).axes
    assert {t.get_text() for t in axes.texts} >= {"depth", "segmentation", "normals"}
    assert "6 nodes" in axes.get_title(loc="left")


@pytest.mark.parametrize(
    "tree",
    [[], {}, {"levels": ["stem"], "paths": {"a": [0, 1]}}, {"levels": ["s", "t"], "paths": {"a": [0, 1], "b": [1, 1]}}],
)
def test_what_is_no_tree_is_not_drawn(synthetic: ModuleType, tmp_path: Path, tree: Any) -> None:
    with_tree(synthetic.run(tmp_path, "ltb", 0, per_image=False), tree)
    assert trees.data(read(tmp_path).aggregates[0], {}) is None


def test_cost_by_number_of_tasks(synthetic: ModuleType, tmp_path: Path) -> None:
    for method in ("single-task", "hard-sharing"):
        for tasks in (synthetic.TASKS[:1], synthetic.TASKS[:2], synthetic.TASKS):
            synthetic.run(tmp_path, method, 0, tasks=tasks, per_image=False)
    results = read(tmp_path).aggregates
    ((_, content),) = scaling.data(results, looks(results))
    by_label = {c["label"]: dict(c["parameters_backbone"]) for c in content["curves"]}
    assert by_label["single-task"][3] == pytest.approx(3 * by_label["single-task"][1])
    assert by_label["hard-sharing"][3] == by_label["hard-sharing"][1]
    with style.context():
        assert len(scaling.draw(content).axes) == 3


def test_ranks_need_ten_data_sets(synthetic: ModuleType, tmp_path: Path) -> None:
    for i in range(10):
        assert not ranking.rankings(read(tmp_path).aggregates)
        for method in ("single-task", "hard-sharing", "nddr", *(["mtan"] if i else [])):
            synthetic.run(tmp_path, method, 0, f"data-{i}", tasks=synthetic.TASKS[:1], per_image=False, curve=1)
    (found,) = ranking.rankings(read(tmp_path).aggregates)
    assert found.ranks.blocks == 10
    assert found.left_out == ("mtan",)
    assert set(found.ranks.names) == {"single-task", "hard-sharing", "nddr"}
    with style.context():
        assert critical.draw(critical.data(found.ranks)).axes
    report = build.write_tables(tmp_path, tmp_path / "out")
    assert any("ranks" in name for name in report.files)


def test_the_ruler_fits_what_it_ranks() -> None:
    names = [f"method-{i}" for i in range(12)]
    scores = np.random.default_rng(0).normal(size=(15, 12)) + np.arange(12) / 3
    found = statistics.ranks(names, scores)
    with style.context():
        figure = critical.draw(critical.data(found))
        texts = {t.get_text().split("  ")[0] for t in figure.axes[0].texts} | {
            t.get_text().split("  ")[-1] for t in figure.axes[0].texts
        }
    assert set(names) <= texts


def test_policies_are_alike_as_far_as_their_probabilities_agree() -> None:
    alpha = [[1.0, 0.0, 0.5], [1.0, 1.0, 0.0], [0.4, 0.0, 0.5]]
    expected = [[1.0, 0.5, 0.8], [0.5, 1.0, 0.3], [0.8, 0.3, 1.0]]
    np.testing.assert_allclose(policies.similarity(alpha), expected)


def _averaged(*seeds: list[tuple[int, float]]) -> list[tuple[float, ...]]:
    """A curve's points, from one list of (step, value) a seed."""
    runs = [SimpleNamespace(curves={"depth": c}) for c in seeds]
    line: Any = SimpleNamespace(label="row", row=SimpleNamespace(every=runs))
    task: Any = SimpleNamespace(name="depth")
    look: Any = {"row": None}
    found = curves._curve(line, task, look)
    assert found is not None
    return list(found["points"])


def test_curves_of_seeds_that_train_for_different_steps_are_averaged() -> None:
    """Each point is of all seeds; once one of two seeds at different steps was drawn as the mean of both."""
    assert _averaged([(10, 1.0), (20, 2.0)], [(12, 3.0), (24, 6.0)]) == [(11, 2.0, 1.0, 3.0), (22, 4.0, 2.0, 6.0)]
    assert _averaged([(10, 1.0), (20, 2.0)], [(10, 3.0)]) == [(10, 2.0, 1.0, 3.0)]
