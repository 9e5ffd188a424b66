"""The study of scores reads from records what runs were chosen by."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from mtlbench.cli.app import main
from mtlbench.records import read_run
from mtlbench.report.report import read
from mtlbench.tasks.metric import log_gain, skill
from tests.deployed import score_study

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Single-task and hard sharing on two seeds."""
    out = tmp_path_factory.mktemp("scores")
    data = ["--dataset", "related", "--set", "related.items=300", "--set", "related.test_items=80"]
    flags = ["--steps", "10", "--seeds", "0,1", "--no-latency", "--no-report", "--workers", "1", "--out", str(out)]
    assert main(["run", "--methods", "single-task,hard-sharing", *data, *flags]) == 0
    return out


def test_the_scores_are_the_records(results: Path) -> None:
    (result,) = read(results).aggregates
    for line in result.lines:
        for run in line.row.runs.values():
            final = read_run(run.folder).final("val")
            assert final is not None
            assert score_study.validated(run, log_gain) == pytest.approx(final.gain)
            assert score_study.validated(run, skill) == pytest.approx(final.score)


def test_draws_are_as_large_as_validation_and_all_images_are_the_whole_split(results: Path) -> None:
    (result,) = read(results).aggregates
    line = result.line("shared")
    assert line is not None
    run = line.row.runs[0]
    images, drawn = score_study.draws(run)
    assert images == 8 and {d.shape for d in drawn.values()} == {(score_study.DRAWS, 80)}
    assert all(set(np.unique(d)) == {0, 1} and (d.sum(1) == 8).all() for d in drawn.values())
    whole = {task: np.ones((1, 80)) for task in drawn}
    primary = [(t.name, m) for t in run.tasks for m in t.metrics if m.primary]
    wanted = [log_gain(m, run.final[t][m.name], run.constant[t][m.name]) for t, m in primary]
    assert score_study.drawn_scores(run, whole, log_gain) == pytest.approx([math.fsum(wanted) / len(wanted)])


def test_a_row_a_study(capsys: pytest.CaptureFixture[str]) -> None:
    """On the records that the project keeps."""
    score_study.main([str(ROOT / "results")])
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.startswith("| study | runs | images a draw | correlation with Delta, score |") and rows
    for row in rows:
        _, runs, images, *correlations, flip, other = (cell.strip() for cell in row.strip("|").split("|"))
        assert int(runs) > 1 and int(images) > 0
        assert all(-1 <= float(c) <= 1 for c in correlations)
        assert all(0 <= int(f.removesuffix(" %")) <= 100 for f in (flip, other))
