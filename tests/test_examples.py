"""The notebook-like example runs from top to bottom, and its figures are the records'."""

import runpy
from pathlib import Path

import pytest

import mtlbench

EXAMPLE = Path(__file__).resolve().parents[1] / "docs/examples/study.py"


def test_the_notebook_runs_and_says_what_the_records_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = EXAMPLE.read_text()
    for long, short in (("steps=60", "steps=2"), ('"images": 64, "test_images": 32', '"images": 24, "test_images": 8')):
        assert text.count(long) == 1
        text = text.replace(long, short)
    (tmp_path / "study.py").write_text(text)
    found = runpy.run_path(str(tmp_path / "study.py"))
    assert [o.status for o in found["done"].outcomes] == ["finished"] * 6
    table = found["report"].table("skill")
    assert sorted(table.index) == ["cross-stitch", "hard-sharing", "single-task"]
    for method, rows in found["depth"].groupby("method"):
        finals = [mtlbench.read_run(p).final() for p in (tmp_path / "results/records").glob(f"{method}-*")]
        errors = [final.metrics["depth"]["abs_error"] for final in finals]
        assert (len(errors), rows["n"].item()) == (2, 2)
        assert rows["mean"].item() == pytest.approx(sum(errors) / 2)
    assert (tmp_path / "depth.png").stat().st_size > 1000
    channels = {task.name: task.channels for task in found["network"].tasks}
    assert {t: a.shape[:2] for t, a in found["answers"].items()} == {t: (2, c) for t, c in channels.items()}
