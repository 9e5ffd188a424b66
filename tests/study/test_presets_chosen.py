"""Presets' values come with the records that chose them: results/tuning, its page, and the presets say the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mtlbench import plugins
from mtlbench.cli.app import main
from tests.helpers import tuning_page as tuning


def test_presets_hold_what_their_trials_chose() -> None:
    assert [line for found in tuning.chosen() for line in tuning.differing(found)] == []


def test_the_page_is_drawn_from_the_records() -> None:
    text = (tuning.ROOT / "README.md").read_text()
    assert text == tuning.page(tuning.chosen()), "run `python -m tests.helpers.tuning_page`"


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small tuning stage of both anchors, and of a method that is none of them."""
    out = tmp_path_factory.mktemp("tuning")
    flags = ["--dataset", "related", "--set", "related.items=80", "--set", "related.test_items=20", "--steps", "2"]
    more = ["--tune", "3", "--tune-seeds", "2", "--no-latency", "--no-report", "--workers", "1", "--out", str(out)]
    assert main(["run", "--methods", "single-task,hard-sharing,mmoe", *flags, *more]) == 0
    return out


def test_the_trial_that_is_best_for_both_anchors_is_chosen(tuned: Path) -> None:
    """By the mean of what the records say; a third method's trials do not count."""
    (found,) = tuning.chosen(tuned)
    gains: dict[int, list[float]] = {}
    for path in tuned.glob("records/*/record.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        if lines[0]["role"] == "tune" and lines[0]["method"] != "mmoe":
            own = next(x for x in lines if x["kind"] == "eval" and x["split"] == "val" and x["purpose"] == "final")
            gains.setdefault(lines[0]["trial"], []).append(own["gain"])
    means = {n: sum(g) / len(g) for n, g in gains.items()}
    assert {len(g) for g in gains.values()} == {4}
    assert found.best.number == max(means, key=lambda n: means[n])
    assert {t.number: t.score for t in found.trials} == pytest.approx(means)
    assert found.best.score == pytest.approx(max(means.values()))


def test_a_preset_that_holds_something_else_is_named(tuned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (found,) = tuning.chosen(tuned)
    kind = plugins.load("datasets", "related")
    best = found.best.values
    fits = {**kind.presets["quick"], **best}
    monkeypatch.setattr(kind, "presets", {"quick": fits})
    assert tuning.differing(found) == []
    monkeypatch.setattr(kind, "presets", {"quick": {**fits, "weights": {"a": 3, "b": 1}}})
    (told,) = tuning.differing(found)
    assert told.endswith("weighs tasks")
    monkeypatch.setattr(kind, "presets", {"quick": {**fits, "lr": 1.2 * best["lr"]}})
    (told,) = tuning.differing(found)
    assert told.startswith("related (") and f"lr is {1.2 * best['lr']:.3g}, trial {found.best.number} has" in told
    assert f"Trial {found.best.number} chose" in tuning.page([found])


def test_a_trial_that_lost_a_run_is_not_chosen(tuned: Path, tmp_path: Path) -> None:
    (found,) = tuning.chosen(tuned)
    for path in tuned.glob("records/*/record.jsonl"):
        start = json.loads(path.read_text().splitlines()[0])
        if start["role"] == "tune" and (start["method"], start["trial"], start["seed"]) != (
            "single-task",
            found.best.number,
            10_000,
        ):
            folder = tmp_path / "records" / path.parent.name
            folder.mkdir(parents=True)
            (folder / path.name).write_bytes(path.read_bytes())
    (left,) = tuning.chosen(tmp_path)
    assert found.best.number not in [t.number for t in left.trials]
