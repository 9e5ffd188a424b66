"""`mtlbench status` and `mtlbench clean`: what they say of runs in every state, and what they leave alone."""

import json
import os
import platform
import shutil
import time

import pytest
from filelock import FileLock

from mtlbench import records
from mtlbench.runs import signs, state
from mtlbench.runs.request import Progress
from tests.helpers.command import TINY, refused, run


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The record of one finished run."""
    from mtlbench.cli.app import main

    where = tmp_path_factory.mktemp("finished")
    assert main(["run", "--methods", "hard-sharing", *TINY, "--no-latency", "--out", str(where)]) == 0
    (folder,) = records.record_folders(where)
    return (folder / records.FILE).read_text().splitlines()


@pytest.fixture
def results(tmp_path, finished):
    """A finished run, one that failed, one unfinished, one under way, one damaged."""
    start = finished[0]
    logs = [records.Log(step=s, phase="train", losses={}).model_dump_json() for s in (1, 2)]
    end = records.End(status="failed", reason="no more memory", step=1, seconds=4.0).model_dump_json()
    for name, lines in {
        "done": finished,
        "failed": [start, logs[0], end],
        "stopped": [start, *logs],
        "under-way": [start, logs[0]],
        "wrong": ["{}", start],
    }.items():
        folder = tmp_path / "results" / "records" / name
        folder.mkdir(parents=True)
        (folder / records.FILE).write_text("\n".join(lines) + "\n")
        for other in ("checkpoint.pt", "traceback.txt", "model.safetensors"):
            (folder / other).write_bytes(b"x" * 1000)
    sign = {"host": platform.node(), "process": os.getpid(), "time": time.time()}
    sign |= {"phase": "train", "step": 25, "steps": 100, "rate": 0.5}
    (tmp_path / "results/records/under-way/running.json").write_text(json.dumps(sign))
    return tmp_path / "results"


def test_every_run_is_told_with_step_speed_time_left_and_end(capsys, results):
    code, out, _ = run(capsys, "status", "results")
    assert code == 0
    rows = [" ".join(line.split()) for line in out.splitlines()[2:]]
    assert rows[0].startswith("hard-sharing discs 0 study 2/2 ")
    done = records.read_run(results / "records/done")
    assert f", validation score {done.final('val').gain:.3f}" in rows[0]  # what selection and tuning go by
    assert rows[1] == "hard-sharing discs 0 study 1/2 0.25 failed: no more memory"
    assert rows[2] == "hard-sharing discs 0 study 2/2 unfinished"
    assert rows[3] == f"hard-sharing discs 0 study 25/100 0.5 2:30 min {platform.node()} running (train)"
    assert rows[4].startswith("wrong damaged: record 'results/records/wrong/record.jsonl' line 1")
    assert out.endswith("5 runs, 1 damaged, 1 failed, 1 finished, 1 running, 1 unfinished\n")


def test_columns_without_a_value_are_left_out(capsys, results):
    for name in ("failed", "under-way", "wrong"):
        shutil.rmtree(results / "records" / name)
    (results / "records/done" / records.FILE).replace(results / "records/stopped" / records.FILE)
    shutil.rmtree(results / "records/done")
    _, out, _ = run(capsys, "status", "results")
    assert {"left", "host"}.isdisjoint(out.splitlines()[0].split())
    assert out.splitlines()[0].split()[:2] == ["method", "data"]


def test_what_tells_runs_of_one_seed_apart_is_said(capsys, results):
    """A sweep's points by what was swept, trials by their number; where nothing differs there is no column."""
    shutil.rmtree(results / "records/wrong")
    assert "at" not in run(capsys, "status", "results")[1].splitlines()[0].split()
    for name, change in {"under-way": {"depth": 0.5}, "failed": {"depth": 2.0}, "stopped": {}}.items():
        path = results / "records" / name / records.FILE
        start, *others = path.read_text().splitlines()
        changed = json.loads(start)
        changed.pop("crc", None)
        changed["config"]["weights"] = change
        if name == "stopped":
            changed |= {"role": "tune", "trial": 3}
        path.write_text("\n".join([json.dumps(changed), *others]) + "\n")
    lines = run(capsys, "status", "results")[1].splitlines()
    assert lines[0].split()[:6] == ["method", "data", "set", "seed", "role", "at"]
    rows = {line.split()[-1]: " ".join(line.split()) for line in lines[2:-1]}
    assert "study weights.depth 2.0 1/2" in rows["memory"]
    assert "tune trial 3 2/2" in rows["unfinished"]
    assert "study weights.depth 0.5 25/100" in rows["(train)"]


def test_the_same_as_json(capsys, results):
    code, out, _ = run(capsys, "status", "results", "--json")
    assert code == 0
    found = {os.path.basename(s["folder"]): s for s in json.loads(out)}
    assert {name: s["status"] for name, s in found.items()} == {
        "done": "finished", "failed": "failed", "stopped": "unfinished", "under-way": "running", "wrong": "damaged",
    }  # fmt: skip
    assert (found["under-way"]["left"], found["failed"]["left"]) == (150.0, None)


def test_watching_looks_again_until_ctrl_c(capsys, results, monkeypatch):
    looks = []

    def pause(seconds):
        looks.append(seconds)
        if len(looks) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("mtlbench.cli.status.time.sleep", pause)
    code, out, _ = run(capsys, "status", "results", "--watch")
    assert (code, looks) == (0, [10.0, 10.0])
    assert out.count("5 runs, ") == 2


@pytest.mark.parametrize(
    ("host", "process", "age", "alive"),
    [
        (None, os.getpid(), 10_000, True),
        (None, 2**30, 0, False),  # no such process
        ("elsewhere", 1, 100, True),
        ("elsewhere", 1, 1000, False),
    ],
    ids=["this process", "no process", "young elsewhere", "old elsewhere"],  # pids would differ between workers
)
def test_a_sign_is_believed_while_its_process_can_be_alive(tmp_path, host, process, age, alive):
    sign = {"host": host or platform.node(), "process": process, "time": time.time() - age}
    (tmp_path / signs.FILE).write_text(json.dumps(sign))
    assert (signs.read(tmp_path) is not None) == alive


@pytest.mark.parametrize("text", ["", "{", "[]", '{"host": 1}', '{"host": "a", "process": 1, "time": 0, "more": 1}'])
def test_a_sign_that_cannot_be_read_is_none(tmp_path, text):
    (tmp_path / signs.FILE).write_text(text)
    assert signs.read(tmp_path) is None


def test_a_run_gives_signs_while_it_is_under_way_and_takes_them_away(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(signs.time, "monotonic", lambda: now[0])
    told = []
    with signs.Signs(tmp_path, told.append) as progress:
        for step, second in ((10, 100.0), (12, 101.0), (16, 103.0)):
            now[0] = second
            progress(Progress("train", step, 40, {}, 9.0))
        sign = signs.read(tmp_path)
        assert (sign.phase, sign.step, sign.steps, sign.rate) == ("train", 16, 40, 2.0)  # 6 steps in 3 seconds
    assert len(told) == 3
    assert list(tmp_path.iterdir()) == []


def test_clean_asks_and_without_a_terminal_removes_nothing(capsys, results):
    code, out, _ = run(capsys, "clean", "results")
    assert code == 0
    assert out == (
        "results/records/done: checkpoint.pt, traceback.txt\n"
        "nothing removed (2 files, 0.0 MB; --yes removes them without asking)\n"
    )
    assert (results / "records/done/checkpoint.pt").exists()


def test_clean_removes_what_is_over_and_nothing_that_goes_on(capsys, results):
    code, out, _ = run(capsys, "clean", "results", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "removed 2 of 2 files, 0.0 MB")
    left = {str(p.relative_to(results / "records")) for p in results.rglob("*") if p.is_file()}
    assert {"done/record.jsonl", "done/model.safetensors", "failed/checkpoint.pt", "stopped/checkpoint.pt"} <= left
    assert {"under-way/running.json", "under-way/checkpoint.pt", "wrong/checkpoint.pt"} <= left
    assert "done/checkpoint.pt" not in left
    assert run(capsys, "clean", "results")[1] == "nothing to remove\n"
    assert run(capsys, "clean", "results", "--failed", "--yes")[0] == 0
    assert sorted(p.name for p in (results / "records").iterdir()) == ["done", "stopped", "under-way", "wrong"]


def test_clean_leaves_a_run_whose_lock_somebody_holds(capsys, results):
    with FileLock(results / "records/done/record.lock"):
        code, out, _ = run(capsys, "clean", "results", "--yes")
    assert (code, out.splitlines()[-1]) == (0, "removed 0 of 2 files, 0.0 MB")
    assert (results / "records/done/checkpoint.pt").exists()


@pytest.mark.parametrize("command", ["status", "clean"])
def test_what_is_no_results_folder_is_refused(capsys, command):
    assert "'nowhere' is not a results folder" in refused(capsys, command, "nowhere")


def test_status_of_an_empty_folder(capsys, tmp_path):
    (tmp_path / "records").mkdir()
    assert run(capsys, "status", ".")[1] == "0 runs\n"
    assert list(state.states(tmp_path)) == []
