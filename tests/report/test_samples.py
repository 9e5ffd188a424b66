"""The gallery's figures: drawn from what runs kept, and never stopped by a file that is not a gallery."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mtlbench.records import ArtefactLine, TaskInfo, Writer
from mtlbench.report.plots import classified
from mtlbench.report.plots import figures as plots
from mtlbench.report.plots import sample_sheets as galleries
from mtlbench.report.reading import samples as gallery
from mtlbench.report.reading.archive import BROKEN
from mtlbench.report.report import read
from mtlbench.tasks.pictures import CHANNELS

TASKS = {
    "segmentation": TaskInfo(name="segmentation", kind="segmentation", channels=4, metrics=[]),
    "depth": TaskInfo(name="depth", kind="depth", channels=1, metrics=[]),
    "animals": TaskInfo(name="animals", kind="classification", channels=3, metrics=[]),
}
N, H, W = 3, 6, 8


def arrays(seed: int = 0, **changed: Any) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    good: dict[str, Any] = {
        "input/all": random.integers(0, 255, (N, H, W, 3)).astype(np.uint8),
        "stream/segmentation": np.array("all"),
        "truth/segmentation": random.integers(-1, 4, (N, H, W)).astype(np.int16),
        "prediction/segmentation": random.integers(0, 4, (N, H, W)).astype(np.int16),
        "classes/segmentation": np.array(["wall", "floor", "<b>", "door"]),
        "stream/depth": np.array("all"),
        "truth/depth": random.random((N, 1, H, W)).astype(np.float16),
        "prediction/depth": random.random((N, 1, H, W)).astype(np.float16),
        "input/words": np.array(["one", "two", "three"]),
        "stream/animals": np.array("words"),
        "truth/animals": np.array([0, 1, 2]),
        "prediction/animals": np.eye(3, dtype=np.float32),
    }
    return {k: v for k, v in {**good, **{k.replace("__", "/"): v for k, v in changed.items()}}.items() if v is not None}


def saved(path: Path, content: dict[str, Any]) -> Path:
    np.savez_compressed(path, allow_pickle=True, **content)
    return path


def test_items_are_what_was_kept(tmp_path: Path) -> None:
    kept = arrays()
    items = gallery.load(saved(tmp_path / "g.npz", kept), TASKS)
    np.testing.assert_array_equal(items["depth"].prediction, kept["prediction/depth"])
    np.testing.assert_array_equal(items["animals"].inputs, kept["input/words"])
    assert [items["segmentation"].name(i) for i in (1, 7)] == ["floor", "7"]


BAD = {
    "another shape": {"prediction__depth": np.zeros((N, 1, H, 5), np.float16)},
    "too few items": {"truth__animals": np.array([0, 1])},
    "a class out of range": {"prediction__segmentation": np.full((N, H, W), 4, np.int16)},
    "no prediction": {"prediction__depth": None},
    "inputs of floats": {"input__all": np.zeros((N, H, W, 3))},
    "a pickled object": {"truth__depth": np.array([{"a": 1}], dtype=object)},
    "a task of words": {"truth__depth": np.array(["x"] * N)},
    "a stream that is not there": {"stream__depth": np.array("elsewhere")},
}


@pytest.mark.parametrize("fault", BAD)
def test_a_damaged_gallery_is_refused(tmp_path: Path, fault: str) -> None:
    path = saved(tmp_path / "g.npz", arrays(**BAD[fault]))
    with pytest.raises(BROKEN):
        gallery.load(path, TASKS)


def test_no_zip_and_a_huge_one_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "g.npz"
    path.write_bytes(b"not a zip")
    with pytest.raises(BROKEN):
        gallery.load(path, TASKS)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(gallery.LIMIT + 1))
    with pytest.raises(ValueError, match="too large"):
        gallery.load(path, TASKS)


@pytest.fixture
def results(synthetic: ModuleType, tmp_path: Path) -> Path:
    """The small study with galleries of noise in every run of one data set."""
    folder: Path = synthetic.small(tmp_path / "study")
    for result in read(folder).aggregates:
        tasks = {t.name: t for t in result.study.tasks}
        for reported in result.study.runs:
            if reported.status == "finished":
                keep(reported.folder, content(tasks, reported.seed))
    return folder


def content(tasks: dict[str, TaskInfo], seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    found: dict[str, Any] = {"input/all": np.zeros((N, H, W, 3), np.uint8)}
    for name, task in tasks.items():
        channels = CHANNELS.get(task.view)
        found[f"stream/{name}"] = np.array("all")
        if task.view == "classes":
            found[f"truth/{name}"] = found[f"prediction/{name}"] = np.zeros((N, H, W), np.int16)
        elif channels:
            found[f"truth/{name}"] = np.zeros((N, channels, H, W), np.float16)
            found[f"prediction/{name}"] = random.random((N, channels, H, W)).astype(np.float16)
        else:
            found[f"truth/{name}"] = np.zeros(N, np.int64)
            found[f"prediction/{name}"] = random.random((N, task.channels)).astype(np.float32)
    return found


def keep(folder: Path, arrays: dict[str, Any]) -> None:
    saved(folder / "gallery.npz", arrays)
    Writer(folder, 1).write(ArtefactLine(name="gallery", path="gallery.npz"))


def figures(results: Path) -> dict[str, list[plots.Figure]]:
    found: dict[str, list[plots.Figure]] = {"gallery": [], "classified": []}
    for figure in plots.figures(read(results).aggregates):
        if figure.kind in found:
            found[figure.kind].append(figure)
    return found


def test_nothing_kept_nothing_drawn(small: Path) -> None:
    assert figures(small) == {"gallery": [], "classified": []}


def test_every_study_with_dense_tasks_has_a_gallery(results: Path) -> None:
    found = figures(results)["gallery"]
    assert len(found) == len(read(results).aggregates) > 0
    assert found[0].draw()["png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("inputs", ["input/words", "input/all"])
def test_classifications_are_drawn_beside_pictures_and_texts(tmp_path: Path, inputs: str) -> None:
    path = saved(tmp_path / "g.npz", {**arrays(), "stream/animals": np.array(inputs.partition("/")[2])})
    rows = [{"label": name, "seed": 0, "file": str(path), "digest": name} for name in ("one", "other")]
    data = {"tasks": [TASKS["animals"].model_dump()], "rows": rows, "note": ""}
    assert plots.Figure("f", "classified", "s", "alt", data).draw()["png"].startswith(b"\x89PNG")


def test_a_broken_gallery_costs_only_its_row(results: Path) -> None:
    figure = figures(results)["gallery"][0]
    rows = figure.content["rows"]
    Path(rows[0]["file"]).write_bytes(b"broken")
    shown, said = galleries.read(figure.content)
    assert [label for label, _ in shown] == [r["label"] for r in rows[1:]]
    assert said == f"cannot be shown: {rows[0]['label']}"
    for row in rows[1:]:
        Path(row["file"]).write_bytes(b"broken")
    assert figure.draw()["png"].startswith(b"\x89PNG")  # empty but for its note


def test_what_is_too_large_for_a_gallery_is_none(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "LIMIT", 10)
    assert figures(results) == {"gallery": [], "classified": []}


def test_a_changed_gallery_is_drawn_again(results: Path) -> None:
    before = figures(results)["gallery"][0]
    file = Path(before.content["rows"][0]["file"])
    saved(file, content({t["name"]: TaskInfo.model_validate(t) for t in before.content["tasks"]}, 99))
    assert figures(results)["gallery"][0].hash != before.hash


SAID = {
    "class": ([1], [[0.2, 0.8]], ("hall", ("hall", True, "0.80"))),
    "level": ([0], [1], ("room", ("hall", False, "+1"))),
    "labels": ([[1.0, np.nan]], [[0.2, 0.7]], ("room", ("hall", False, "1 wrong"))),
    "value": ([[2.0]], [[1.25]], ("2", ("1.25", None, "-0.75"))),
}


@pytest.mark.parametrize("view", SAID)
def test_an_answer_is_said_as_its_view_says(tmp_path: Path, view: str) -> None:
    truth, prediction, (expected, said) = SAID[view]
    channels = 1 if view == "value" else 2
    task = TaskInfo(name="t", kind="own", channels=channels, view=view, metrics=[])
    kept = {"input/all": np.array(["a text"]), "stream/t": np.array("all"), "classes/t": np.array(["room", "hall"])}
    path = saved(tmp_path / "g.npz", {**kept, "truth/t": np.array(truth), "prediction/t": np.array(prediction)})
    items = gallery.load(path, {"t": task})["t"]
    assert (classified._truth(items, 0), classified._said(items, 0)) == (expected, said)
    rows = [{"label": "one", "seed": 0, "file": str(path), "digest": "1"}]
    data = {"tasks": [task.model_dump()], "rows": rows, "note": ""}
    assert plots.Figure("f", "classified", "s", "alt", data).draw()["png"].startswith(b"\x89PNG")
    wrong = saved(tmp_path / "w.npz", {**kept, "truth/t": np.array(truth), "prediction/t": np.zeros((2, 5, 1))})
    with pytest.raises(BROKEN):
        gallery.load(wrong, {"t": task})
