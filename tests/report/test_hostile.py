"""Records no honest run wrote: nothing runs, nothing crashes, each is named; and the rest of the report stands."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mtlbench.errors import RecordError
from mtlbench.report import build
from mtlbench.report.plots import figures as plots
from mtlbench.report.report import Report, read
from mtlbench.report.terminal import terminal


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(x) for x in (folder / "record.jsonl").read_text().splitlines()]


def rewrite(folder: Path, changed: list[Any]) -> None:
    (folder / "record.jsonl").write_text("".join(json.dumps(x) + "\n" for x in changed))


@pytest.fixture
def study(synthetic: ModuleType, tmp_path: Path) -> Any:
    """Three honest runs; returns the folder of the third, to be spoiled."""
    for method in ("single-task", "hard-sharing"):
        synthetic.run(tmp_path, method, 0, per_image=False)
    return synthetic.run(tmp_path, "adashare", 0, per_image=False, timed=False)


def report(folder: Path) -> Report:
    root = folder.parents[1]
    found = build.write(root)
    for name in found.files:
        assert (root / name).is_file()
    return found


BYTES: dict[str, Any] = {
    "not utf-8": lambda raw: raw.replace(b"adashare", b"ada\xff\xfeshare"),
    "no json": lambda raw: raw.replace(b"\n", b"\n<html></html>\n", 1),
    "deep": lambda raw: raw.replace(b'"options":{}', b'"options":' + b"[" * 100_000 + b"]" * 100_000),
    "empty": lambda raw: b"",
    "zeros": lambda raw: b"\0" * 4096,
    "a list": lambda raw: b"[1,2]\n" + raw,
    "a number": lambda raw: b"17\n" + raw,
    "newer schema": lambda raw: raw.replace(b'"schema_version":1', b'"schema_version":2'),
    "odd schema": lambda raw: raw.replace(b'"schema_version":1', b'"schema_version":"x"'),
    "no start": lambda raw: raw.split(b"\n", 1)[1],
    "seed is text": lambda raw: raw.replace(
        b'"seed":0,"role":"study","anchor"', b'"seed":"zero","role":"study","anchor"'
    ),
}


@pytest.mark.parametrize("how", sorted(BYTES))
def test_an_unreadable_record_is_named_and_the_others_stand(study: Path, undrawn: None, how: str) -> None:
    path = study / "record.jsonl"
    raw = path.read_bytes()
    path.write_bytes(BYTES[how](raw))
    assert path.read_bytes() != raw
    found = report(study)
    assert len(found.problems) == 1
    assert study.name in found.problems[0]
    assert len(found.aggregates[0].lines) == 2
    page = (found.out / "index.html").read_text(encoding="utf-8")
    assert study.name in page
    assert any(study.name in str(x) for x in terminal(found))


def test_a_cut_off_last_line_is_survived(study: Path, undrawn: None) -> None:
    path = study / "record.jsonl"
    path.write_bytes(path.read_bytes()[:-25])
    found = report(study)
    assert not found.problems
    assert any("unfinished" in reason for x in found.aggregates[0].lines for reason in x.row.lost.values())


def test_a_pipe_is_not_waited_for(study: Path, undrawn: None) -> None:
    (study / "record.jsonl").unlink()
    os.mkfifo(study / "record.jsonl")
    assert "is not a file" in report(study).problems[0]


def test_a_folder_in_a_records_place(study: Path, undrawn: None) -> None:
    (study / "record.jsonl").unlink()
    (study / "record.jsonl").mkdir()
    assert len(report(study).problems) == 1


HUGE = 10**400
STRANGE = "<script>alert(1)</script>|`$x$`\\input{/etc/passwd}\n=cmd()\u202e\x00"


def _start(**changes: Any) -> Any:
    return lambda records: records[0].update(changes)


def _config(**changes: Any) -> Any:
    return lambda records: records[0]["config"].update(changes)


def _each(kind: str, **changes: Any) -> Any:
    return lambda records: [r.update(changes) for r in records if r["kind"] == kind]


VALUES: dict[str, Any] = {
    "no config": _start(config={}),
    "config of strange values": _start(
        config={"tasks": 3, "steps": "many", "options": [1], "selection": {"a": []}, "dataset": None}
    ),
    "strange names": _start(method=STRANGE, dataset=STRANGE, command=STRANGE, fingerprint=STRANGE, layout=STRANGE),
    "strange options": _config(options={STRANGE: {STRANGE: [STRANGE]}}),
    "huge seed": _start(seed=10**30),
    "negative seed": _start(seed=-1),
    "no tasks": _start(tasks=[]),
    "a task twice": lambda records: records[0]["tasks"].append(records[0]["tasks"][0]),
    "no metrics": lambda records: [t.update(metrics=[]) for t in records[0]["tasks"]],
    "unknown kind": lambda records: [t.update(kind=STRANGE, name=STRANGE) for t in records[0]["tasks"]],
    "strange environment": _start(environment={"device": {"a": 1}, "commit": [STRANGE], "packages": STRANGE}),
    "strange phases": _start(phases=[{"name": {"x": STRANGE}, "steps": HUGE}, {}]),
    "strange reference": _start(
        reference=[{"label": STRANGE, "source": STRANGE, "metrics": {"segmentation": {"miou": 1e308}}}]
    ),
    "nan": _each(
        "eval",
        metrics={"segmentation": {"miou": float("nan")}},
        skill={"segmentation": float("inf")},
        score=float("nan"),
    ),
    "huge figures": _each(
        "eval", metrics={"segmentation": {"miou": 1e308, "pixel_accuracy": -1e308}, "depth": {"abs_error": 1e-308}}
    ),
    "no figures": _each("eval", metrics={}, skill={}, score=None),
    "other tasks": _each("eval", metrics={"elsewhere": {"miou": 1.0}}),
    "huge steps": _each("eval", step=10**25),
    "huge cost": lambda records: [
        r["parameters"].update(total=10**300, backbone=0, ratio=1e300) for r in records if r["kind"] == "cost"
    ],
    "nan cost": lambda records: [
        r["macs"].update(total=float("nan"), each={STRANGE: float("inf")}) for r in records if r["kind"] == "cost"
    ],
    "endless training": _each(
        "end", seconds=1e300, training_flops=float("inf"), timing={STRANGE: 1e300}, notes={STRANGE: {STRANGE: HUGE}}
    ),
    "strange reason": _each("end", status="failed", reason=STRANGE * 50),
    "path upwards": _each("artefact", path="../../../../etc/passwd"),
    "path to nowhere": _each("artefact", path="\x00"),
    "many lines": lambda records: records.extend([records[-2]] * 500),
}


@pytest.mark.parametrize("how", sorted(VALUES))
def test_strange_values_crash_nothing_and_stay_text(study: Path, undrawn: None, how: str) -> None:
    records = lines(study)
    VALUES[how](records)
    rewrite(study, records)
    found = report(study)
    assert list(terminal(found))
    assert sum(len(r.lines) for r in found.aggregates) == 3 or found.problems
    for name in found.files:
        text = (found.out / name).read_bytes().decode("utf-8")
        hidden = {c for c in text if not c.isprintable() and c not in "\n\u00a0\u202f"}
        assert not hidden, name
        if name.endswith(".html"):
            assert text.count("<script>") == (1 if "<script>" in text else 0)
            assert "alert(1)</script>" not in text
        elif name.endswith(".md"):
            assert "<script>" not in text
        elif name.endswith(".tex"):
            assert "\\input{" not in text
            assert text.isascii()
        elif name.endswith(".csv"):
            assert not any(cell.startswith(("=", "@")) for row in text.splitlines() for cell in row.split(","))


def test_half_a_character_is_escaped(study: Path, undrawn: None) -> None:
    path = study / "record.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"adashare"', b'"ada\\ud800share"'))
    found = report(study)
    assert [x.label for x in found.aggregates[0].lines][2] == "ada\\ud800share"


def test_strange_names_and_huge_figures_can_be_drawn(study: Path) -> None:
    records = lines(study)
    for how in ("strange names", "huge figures", "huge cost"):
        VALUES[how](records)
    records[0]["dataset"], records[0]["method"] = "scenes", "$\\frac{1}{0$ 表 " + STRANGE
    rewrite(study, records)
    drawn = {f.kind: f for f in plots.figures(read(study.parents[1]).aggregates)}
    assert drawn["delta"].draw()["png"].startswith(b"\x89PNG")
    assert b"<script" not in drawn["metrics"].draw()["svg"]


POLICIES = [
    "[]",
    "{}",
    "17",
    "{" * 50,
    "[" * 100_000,
    '{"tasks":["a"],"alpha":[[1]],"decided":[[1,0],[1]]}',
    '{"tasks":["a"],"alpha":[],"decided":[]}',
    '{"tasks":["a"],"alpha":[[]],"decided":[[]]}',
    '{"tasks":["a"],"alpha":[["x"]],"decided":[[1]]}',
    '{"tasks":["a","b"],"alpha":[[NaN,1],[0,1]],"decided":[[1,1],[0,1]]}',
    '{"tasks":["a"],"alpha":[[NaN,7]],"decided":[[1,0]],"history":[{"step":1}],"undecided":"yes"}',
    '{"tasks":["a"],"alpha":[[1]],"decided":[[1]],"history":[{"step":1e400,"alpha":[[1]]}]}',
]


@pytest.mark.parametrize("text", POLICIES)
def test_a_strange_policy_is_no_policy(study: Path, undrawn: None, text: str) -> None:
    (study / "policy.json").write_text(text)
    found = report(study)
    assert not found.problems
    assert len(found.aggregates[0].lines) == 3


def test_a_policy_that_is_a_link_is_not_followed(study: Path, undrawn: None, tmp_path: Path) -> None:
    (study / "policy.json").rename(tmp_path / "elsewhere.json")
    (study / "policy.json").symlink_to(tmp_path / "elsewhere.json")
    assert all(run.policy is None for run in report(study).runs)


def test_a_strange_manifest_removes_nothing_of_ours(study: Path, undrawn: None) -> None:
    root = study.parents[1]
    keep = root / "keep.txt"
    keep.write_text("mine")
    files = ["../keep.txt", "keep.txt", "tables/../keep.txt", "records/x", str(keep), "tables/..", 7, None]
    (root / "manifest.json").write_text(json.dumps({"files": files, "figures": {"a": 1}}))
    report(study)
    assert keep.read_text() == "mine"
    assert len(list((root / "records").iterdir())) == 3


def test_stale_files_of_an_earlier_report_are_removed(study: Path, undrawn: None, synthetic: ModuleType) -> None:
    import shutil

    root = study.parents[1]
    other = synthetic.run(root, "single-task", 0, "rooms", per_image=False)
    before = set(build.write(root).files)
    shutil.rmtree(other)
    after = set(build.write(root).files)
    assert before - after
    assert not any((root / name).exists() for name in before - after)


def test_no_folder_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="no results folder"):
        build.write(tmp_path / "nowhere")


def test_an_empty_folder_gives_an_empty_page(tmp_path: Path) -> None:
    found = build.write(tmp_path)
    assert found.aggregates == []
    assert "No records yet" in (tmp_path / "index.html").read_text()
    assert terminal(found) == ["no records yet"]


def test_trials_alone_are_said_to_be_that(synthetic: ModuleType, tmp_path: Path) -> None:
    for method in ("nddr", "mtan"):
        synthetic.run(tmp_path, method, 99, role="tune")
    found = build.write(tmp_path)
    assert terminal(found) == ["no run of a study yet, only trials of tuning (2)"]
    assert "No run of a study yet, only trials of tuning (2)." in (tmp_path / "index.html").read_text()


def test_a_place_that_cannot_be_written_is_one_clear_line(study: Path, undrawn: None, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RecordError, match="cannot write"):
        build.write(study.parents[1], tmp_path / "file")
