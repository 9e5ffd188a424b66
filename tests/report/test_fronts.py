"""The front over the tasks' weights: from any records that differ in them, every figure by hand, the volume by drawing."""

from __future__ import annotations

import csv
import json
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtlbench.report import build
from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.fronts import unbeaten, volume
from mtlbench.report.plots.figures import Figure
from mtlbench.report.plots.figures import figures as all_figures
from mtlbench.report.report import Report, read

SHARES = (0.2, 0.5, 0.8)  # of depth
# (mIoU, absolute error) of each method at these shares: hard sharing's middle point beats AdaShare's
HARD = ((30.0, 0.60), (28.0, 0.50), (20.0, 0.49))
ADA = ((31.0, 0.62), (27.0, 0.55), (24.0, 0.48))


@pytest.fixture
def write(synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a run of two tasks with these figures, a little apart by seed."""
    tasks = [synthetic.TASKS[0], synthetic.TASKS[2]]

    def one(method: str, weights: Any, figures: tuple[float, float], seed: int = 0, **changes: Any) -> None:
        rest = {"segmentation": {"pixel_accuracy": 58.0}, "depth": {"rel_error": 0.2, "delta_1.25": 60.0}}
        rest["segmentation"]["miou"] = figures[0] + 0.5 * seed
        rest["depth"]["abs_error"] = figures[1] + 0.01 * seed
        monkeypatch.setattr(synthetic, "metrics", lambda *a, **k: rest)
        told = json.dumps(weights)
        synthetic.run(
            tmp_path, method, seed, tasks=tasks, per_image=False, weights=weights, **changes,
            name=f"{method}-{seed}-{abs(hash(told + str(changes)))}",
        )  # fmt: skip

    return one


def weighted(share: float, total: float = 2.0) -> dict[str, float]:
    return {"segmentation": total * (1 - share), "depth": total * share}


@pytest.fixture
def both(write: Any, tmp_path: Path) -> Path:
    """Two methods at three weightings on three seeds."""
    for seed, (share, hard, ada) in product(range(3), zip(SHARES, HARD, ADA, strict=True)):
        write("hard-sharing", weighted(share), hard, seed)
        write("adashare", weighted(share), ada, seed)
    return tmp_path


def test_runs_that_differ_in_their_weights_alone_are_one_front(both: Path) -> None:
    report = read(both)
    (front,) = report.fronts
    assert len(report.aggregates) == 3  # each weighting stays a study of its own
    assert (front.shared, front.seeds) == ("hard-sharing", 3)
    assert list(front.curves) == ["hard-sharing", "adashare"]
    for points, figures in zip(front.curves.values(), (HARD, ADA), strict=True):
        assert [p.shares for p in points] == [(0.8, 0.2), (0.5, 0.5), (0.2, 0.8)]
        for point, (miou, error) in zip(points, figures, strict=True):
            assert point.middle == pytest.approx((miou + 0.5, -(error + 0.01)))  # the mean over seeds 0, 1, 2


def test_beyond_is_the_least_of_the_largest_gains(both: Path) -> None:
    (front,) = read(both).fronts
    for number, point in enumerate(front.curves["adashare"]):
        by_seed = []
        for seed in range(3):
            own = (ADA[number][0] + 0.5 * seed, ADA[number][1] + 0.01 * seed)
            gains = []
            for hard in HARD:
                miou, error = hard[0] + 0.5 * seed, hard[1] + 0.01 * seed
                gains.append(max(100 * (own[0] - miou) / miou, 100 * (error - own[1]) / error))
            by_seed.append(min(gains))
        found, wanted = front.beyond(point), statistics.summarise(by_seed)
        assert (found.n, found.mean, found.low) == pytest.approx((3, wanted.mean, wanted.low))
    beyond = [front.beyond(p).mean for p in front.curves["adashare"]]
    assert (
        beyond[0] > 0 > beyond[1]
    )  # more mIoU than any of hard sharing's; and in the middle worse than its middle in both
    assert front.beyond(front.curves["hard-sharing"][0]).n == 0


def test_reach_is_the_share_of_the_box_and_is_paired_by_seed(both: Path) -> None:
    (front,) = read(both).fronts
    assert front.box == (pytest.approx((20.5, -0.63)), pytest.approx((31.5, -0.49)))
    hard, ada = front.reaches()
    mine = []
    for figures in (HARD, ADA):
        values = []
        for seed in range(3):
            placed = [((m + 0.5 * seed - 20.5) / 11, (0.63 - e - 0.01 * seed) / 0.14) for m, e in figures]
            grid = np.linspace(0.0005, 1.3995, 1400)  # a naive count of cells that some point is at least as good as
            x, y = np.meshgrid(grid, grid)
            values.append(np.any([(x <= a) & (y <= b) for a, b in placed], axis=0).sum() * 0.001**2)
        mine.append(values)
    assert hard.reach.mean == pytest.approx(np.mean(mine[0]), abs=3e-3)
    assert ada.reach.mean == pytest.approx(np.mean(mine[1]), abs=3e-3)
    assert ada.gain.difference.mean == pytest.approx(np.mean(np.subtract(mine[1], mine[0])), abs=5e-3)
    assert (ada.points, ada.gain.difference.n) == (3, 3)
    assert hard.gain.difference.n == 0


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=7))
def test_the_volume_is_a_count_of_cells(points: list[tuple[float, ...]]) -> None:
    cells = sum(
        any(all(c < x for c, x in zip(cell, p, strict=True)) for p in points) for cell in product(range(5), repeat=3)
    )
    assert volume(points) == cells


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=9, unique=True))
def test_the_unbeaten_are_those_without_a_better(points: list[tuple[float, float]]) -> None:
    beaten = {p for p in points for q in points if q != p and q[0] >= p[0] and q[1] >= p[1]}
    assert set(unbeaten(points)) == set(points) - beaten


def test_only_the_weights_may_differ(write: Any, tmp_path: Path) -> None:
    """Other steps, another weighting, a tuning stage: no front."""
    write("hard-sharing", weighted(0.2), HARD[0])
    write("hard-sharing", weighted(0.5), HARD[1], steps=500)
    write("hard-sharing", {}, HARD[2], weighting="dwa")
    assert read(tmp_path).fronts == []
    write("hard-sharing", weighted(0.5), HARD[1])
    (front,) = read(tmp_path).fronts
    assert [p.shares for p in front.curves["hard-sharing"]] == [(0.8, 0.2), (0.5, 0.5)]


def test_weights_that_a_record_leaves_to_the_data_set_are_a_point_without_a_share(write: Any, tmp_path: Path) -> None:
    write("hard-sharing", weighted(0.8), HARD[2])
    write("hard-sharing", {}, HARD[1])
    write("adashare", {"depth": 3.0}, ADA[1])
    (front,) = read(tmp_path).fronts
    assert [p.shares for p in front.curves["hard-sharing"]] == [(0.2, 0.8), None]
    assert [p.shares for p in front.curves["adashare"]] == [None]
    assert front.reaches() == []  # no two weightings in common


def test_a_method_that_lacks_weights_is_compared_over_those_it_has(write: Any, tmp_path: Path) -> None:
    for share, hard in zip(SHARES, HARD, strict=True):
        write("hard-sharing", weighted(share), hard)
    for share, ada in zip(SHARES[:2], ADA[:2], strict=True):
        write("adashare", weighted(share), ada)
    hard, ada = next(iter(read(tmp_path).fronts)).reaches()
    assert (hard.points, ada.points) == (3, 2)
    box = lambda m, e: ((m - 20) / 11, (0.62 - e) / 0.13)  # noqa: E731
    theirs = volume([box(*HARD[0]), box(*HARD[1])])
    assert ada.gain.difference.mean == pytest.approx(volume([box(*ADA[0]), box(*ADA[1])]) - theirs)


def test_the_report_has_its_figure_and_tables(both: Path, tmp_path: Path, undrawn: None) -> None:
    report = build.write(both, tmp_path / "out")
    name = report.fronts[0].name
    for file in (f"figures/{name}.png", f"tables/{name}.csv", f"tables/{name}-points.md", f"tables/{name}-points.tex"):
        assert file in report.files
    with (tmp_path / "out" / "tables" / f"{name}-points.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [r["share of segmentation, depth"] if "share of segmentation, depth" in r else r["shares"] for r in rows][:3] == [
        "0.8 / 0.2", "0.5 / 0.5", "0.2 / 0.8",
    ]  # fmt: skip
    assert float(rows[0]["segmentation/miou"]) == pytest.approx(30.5)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Over the tasks&#39; weights" in page
    assert page.count(f'id="t-{name}') == 2


def drawn(report: Report) -> Figure:
    return next(f for f in all_figures(report.aggregates, (), report.fronts) if f.kind == "front")


def test_the_figure_turns_axes_so_that_better_is_up_and_right_and_is_drawn_to_the_same_bytes(both: Path) -> None:
    figure = drawn(read(both))
    (panel,) = figure.content["panels"]
    assert [a["higher"] for a in panel["axes"]] == [True, False]
    hard = next(c for c in panel["curves"] if c["label"] == "hard-sharing")
    assert [p["share"] for p in hard["points"]] == [0.2, 0.5, 0.8]
    assert hard["points"][0]["at"] == pytest.approx([30.5, 0.61])
    assert hard["points"][0]["half"][0] == pytest.approx(statistics.summarise([30.0, 30.5, 31.0]).half)
    first = figure.draw()
    assert first["png"].startswith(b"\x89PNG")
    assert drawn(read(both)).draw() == first


def test_three_tasks_have_a_panel_for_each_pair(synthetic: ModuleType, tmp_path: Path) -> None:
    for share in (0.2, 0.6):
        weights = {"segmentation": 1.0, "normals": share, "depth": 1 - share}
        synthetic.run(tmp_path, "hard-sharing", 0, per_image=False, weights=weights, name=f"run-{share}")
    figure = drawn(read(tmp_path))
    assert [[a["title"].split(":")[0] for a in p["axes"]] for p in figure.content["panels"]] == [
        ["segmentation", "normals (derived)"],
        ["segmentation", "depth"],
        ["normals (derived)", "depth"],
    ]
    assert figure.draw()["png"].startswith(b"\x89PNG")
