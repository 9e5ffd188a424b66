"""Curves for TensorBoard: what its own reader finds in the files is what the record says."""

import json
import subprocess
import sys

import numpy as np
import pytest

from mtlbench import records
from mtlbench.records import FILE as RECORD
from tests.helpers.command import TINY, refused, run

pytest.importorskip("tensorboard")
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

TRAIN = ["run", "--methods", "hard-sharing,adashare", *TINY, "--steps", "20", "--no-latency"]


@pytest.fixture
def finished(capsys, tmp_path, monkeypatch, undrawn):
    """Two finished runs in an empty folder, by the name of theirs."""
    monkeypatch.chdir(tmp_path)
    assert run(capsys, *TRAIN)[0] == 0
    return {r.folder.name: r for r in records.read_all(tmp_path / "results")[0]}


def curves(folder):
    """Every curve of a run's folder by TensorBoard's own reader: step -> value, no step twice."""
    reader = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    reader.Reload()
    found = {tag: [(e.step, e.value) for e in reader.Scalars(tag)] for tag in reader.Tags()["scalars"]}
    for points in found.values():
        assert len({step for step, _ in points}) == len(points)
    return {tag: dict(points) for tag, points in found.items()}, reader


def recorded(run):
    """The same from a record's own lines as JSON, without any of our reading of them."""
    found = {}
    for text in (run.folder / RECORD).read_text().splitlines():
        line = json.loads(text)
        if line["kind"] == "log":
            parts = {"loss": line["losses"], "learning rate": line["rates"], "method": line["values"]}
        elif line["kind"] == "eval" and line["purpose"] in ("curve", "phase", "final"):
            name = "validation" if line["split"] == "val" else "test"
            name = f"deployed {name}" if line["purpose"] == "final" else name
            parts = {f"{name}/{task}": metrics for task, metrics in line["metrics"].items()}
            parts |= {f"{name} loss": line["losses"], f"{name} skill": {**line["skill"], "mean": line["score"]}}
        else:
            continue
        for group, values in parts.items():
            for key, value in values.items():
                if value is not None:
                    found.setdefault(f"{group}/{key}", {})[line["step"]] = np.float32(value)
    return found


def test_a_runs_curves_are_those_of_its_record_and_are_never_there_twice(capsys, tmp_path, finished):
    for _ in range(2):  # the second time replaces
        code, out, _ = run(capsys, "report", "results", "--tensorboard")
        assert code == 0
        assert out.splitlines()[-1] == "curves of 2 runs: tensorboard --logdir results/tensorboard"
        folders = {f.name: f for f in (tmp_path / "results" / "tensorboard").iterdir()}
        assert folders.keys() == finished.keys()
        for name, folder in folders.items():
            assert len(list(folder.iterdir())) == 1
            found, _ = curves(folder)
            assert found == recorded(finished[name])
            assert {tag.split("/")[0] for tag in found} >= {"loss", "learning rate", "validation", "deployed test"}


def test_the_learning_rate_is_the_one_that_was_used(finished):
    (run,) = (r for name, r in finished.items() if name.startswith("hard-sharing"))
    config = run.start.config
    rises = int(config["warmup"] * 20)
    for log in run.logs:
        share = max(0.0, (log.step - 1 - rises) / (20 - rises))
        factor = log.step / (rises + 1) if log.step <= rises else 0.5 * (1 + np.cos(np.pi * share))
        assert log.rates == {"all": pytest.approx(config["lr"] * factor)}
    (other,) = (r for name, r in finished.items() if name.startswith("adashare"))
    assert {"backbone", "heads", "policy"} == {n for log in other.logs for n in log.rates}


def test_a_runs_settings_are_its_hyperparameters(capsys, tmp_path, finished):
    assert run(capsys, "report", "results", "--tensorboard", "curves")[0] == 0
    for name, one in finished.items():
        _, reader = curves(tmp_path / "curves" / name)
        content = reader.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
        told = metadata.parse_session_start_info_plugin_data(content).hparams
        assert told["method"].string_value == one.start.method
        assert told["lr"].number_value == one.start.config["lr"]
        assert told["steps"].number_value == 20


def test_a_folder_behind_the_flag_is_the_results_folder_where_it_holds_records(capsys, tmp_path, finished):
    (tmp_path / "results").rename(tmp_path / "mine")
    assert run(capsys, "report", "--tensorboard", "mine")[0] == 0
    assert {f.name for f in (tmp_path / "mine" / "tensorboard").iterdir()} == finished.keys()
    code, out, err = run(capsys, "report", "mine", "--json", "--tensorboard", "elsewhere/curves")
    assert code == 0 and json.loads(out) and "elsewhere/curves" in err
    assert {f.name for f in (tmp_path / "elsewhere" / "curves").iterdir()} == finished.keys()


def test_curves_of_a_run_that_is_no_more_go_and_what_is_not_ours_stays(capsys, tmp_path, finished):
    assert run(capsys, "report", "results", "--tensorboard")[0] == 0
    first, second = sorted(finished)
    own = tmp_path / "results" / "tensorboard" / first / "events.out.tfevents.1.somebody"
    own.write_bytes(b"")
    for name in finished:
        (tmp_path / "results" / "records" / name / RECORD).unlink()
    assert run(capsys, "report", "results", "--tensorboard")[0] == 0
    assert list((tmp_path / "results" / "tensorboard").glob("*/*")) == [own]
    assert not (tmp_path / "results" / "tensorboard" / second).exists()


def test_a_folder_that_leads_elsewhere_is_not_written_into(capsys, tmp_path, finished):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "curves").mkdir()
    (tmp_path / "curves" / min(finished)).symlink_to(elsewhere)
    assert "is a link" in run(capsys, "report", "results", "--tensorboard", "curves")[2]
    assert not list(elsewhere.iterdir())


def test_without_the_library_one_line_says_how_to_get_it_and_nothing_is_written(
    capsys, tmp_path, finished, monkeypatch
):
    before = sorted((tmp_path / "results").iterdir())
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    assert "pip install 'mtlbench[tensorboard]'" in refused(capsys, "report", "results", "--tensorboard")
    assert sorted((tmp_path / "results").iterdir()) == before


def test_curves_are_written_without_torch(tmp_path, small):
    code = "import sys; from pathlib import Path; from mtlbench.report.events import write_events;"
    code += f"print(len(write_events(Path({str(small)!r}), Path({str(tmp_path)!r}))), 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, torch = said.stdout.split()
    assert torch == "False"
    assert int(count) == len(list(small.glob(f"records/*/{RECORD}"))) - len(records.read_all(small)[1])
