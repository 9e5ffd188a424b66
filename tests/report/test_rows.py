"""The page of a row: what its facts say, from artefacts alone."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mtlbench.report.page.rows import row_view
from mtlbench.report.report import read

SCORES = [0.2, 0.5, None, 0.3]


def facts(results: Path, candidates: Any) -> dict[str, str]:
    """What is said of the one run that keeps a policy, with these candidates in it."""
    (path,) = results.glob("records/adashare-*/policy.json")
    data = json.loads(path.read_text())
    path.write_text(json.dumps({**data, "candidates": candidates}))
    (result,) = read(results).aggregates
    (line,) = (x for x in result.lines if x.row.method == "adashare")
    return dict(row_view(result, line)["runs"][0]["facts"])


@pytest.fixture
def results(synthetic: ModuleType, tmp_path: Path) -> Path:
    for method in ("single-task", "hard-sharing", "adashare"):
        synthetic.run(tmp_path, method, 0, per_image=False)
    return tmp_path


def test_candidates_are_summed_up(results: Path) -> None:
    tried = [{"policy": [], "score": s, "chosen": i == 1} for i, s in enumerate(SCORES)]
    said = facts(results, tried)["Policies tried"]
    assert said == "3, skill after a short retraining, on validation: mean 0.333, chosen 0.500, 0.200 to 0.500"


@pytest.mark.parametrize("candidates", [[], None, [{"policy": [], "score": None, "chosen": True}]])
def test_without_scores_nothing_is_said(results: Path, candidates: Any) -> None:
    assert "Policies tried" not in facts(results, candidates)
