"""The door for everybody: a user's files beside the built-ins, through the command line, and what happens when they break."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mtlbench import plugins, records
from mtlbench.cli.app import main
from mtlbench.config import RunConfig
from mtlbench.errors import PluginError, UnknownName
from mtlbench.runs import assembly

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
TINY = ["--dataset", "my_dataset.py:Discs", "--set", "discs.images=24", "--set", "run.head=4", "--device", "cpu"]
TINY += ["--steps", "3", "--workers", "1", "--threads", "1"]


@pytest.fixture(autouse=True)
def _fresh_folder(tmp_path, monkeypatch):
    """A user's folder: the two example files and nothing else."""
    for file in EXAMPLES.glob("*.py"):
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, least in (("BLOCK", 0.0), ("ROUNDS", 1), ("LEAST", 1)):
        monkeypatch.setattr(f"mtlbench.deployed.latency.{name}", least)


def study(*arguments):
    """Run a tiny study of these arguments: its exit code, and its runs by method."""
    code = main(["run", *TINY, *arguments])
    runs, problems = records.read_all(Path("results"))
    assert problems == []
    return code, {r.start.method: r for r in runs}


def test_the_examples_stand_in_the_same_report_as_the_built_ins(capsys):
    code, runs = study("--methods", "single-task,hard-sharing,./my_method.py:Branches")
    assert code == 0
    assert {name: r.status for name, r in runs.items()} == dict.fromkeys(
        ("single-task", "hard-sharing", "branches"), "finished"
    )
    assert {t.name for t in runs["branches"].start.tasks} == {"disc", "distance"}
    capsys.readouterr()
    assert main(["report", "results"]) == 0
    out = capsys.readouterr().out
    for name in runs:
        assert name in out
    tables = "".join(path.read_text() for path in Path("results/tables").glob("*.md"))
    assert "branches" in tables


def test_extending_shows_the_files_the_tests_run():
    page = (ROOT / "docs" / "extending.md").read_text()
    shown = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    mine = {"my_method.py": 30, "my_dataset.py": 40, "my_kind.py": 50, "my_backbone.py": 30, "my_weighting.py": 20}
    assert mine.keys() == {path.name for path in EXAMPLES.glob("my_*.py")}
    for name, most in mine.items():
        text = (EXAMPLES / name).read_text()
        assert text in shown
        assert sum(bool(line.strip()) for line in text.splitlines()) <= most


def test_a_kind_from_one_file_goes_all_the_way(capsys):
    """A scalar regression with a loss and a metric of its own: check, run, report, predict; the report runs none of it."""
    assert main(["check", "--kind", "my_kind.py:Amount"]) == 0
    assert main(["check", "--dataset", "my_kind.py:Sizes"]) == 0
    few = [
        "--steps",
        "3",
        "--batch-size",
        "4",
        "--width",
        "0.0625",
        "--set",
        "run.head=4",
        "--device",
        "cpu",
        "--no-report",
    ]
    arguments = [
        "--dataset",
        "my_kind.py:Sizes",
        "--tasks",
        "radius",
        "--methods",
        "hard-sharing",
        "--workers",
        "1",
        *few,
    ]
    assert main(["run", *arguments, "--threads", "1"]) == 0
    (folder,) = records.record_folders(Path("results"))
    run = records.read_run(folder)
    (radius,) = run.start.tasks
    assert run.latency is not None
    assert (radius.kind, radius.view, [m.name for m in radius.metrics]) == ("amount", "value", ["error", "within_10"])
    assert radius.metrics[1].reduction == {"by": "mean", "of": "close", "over": "count", "column": None, "scale": 100.0}

    Path("my_kind.py").rename("elsewhere.py")
    capsys.readouterr()
    assert main(["report", "results"]) == 0
    assert "error (px) ↓" in capsys.readouterr().out
    tables = "".join(path.read_text() for path in Path("results/tables").glob("*.md"))
    assert "radius: within\\_10 (%) ↑" in tables
    assert "test images" in tables

    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save("photo.png")
    assert main(["predict", str(folder), "photo.png"]) == 2
    own = ["--plugin", "elsewhere.py:Amount", "--plugin", "elsewhere.py:Sizes"]
    assert main(["predict", str(folder), "photo.png", *own]) == 0
    assert Path("photo-predictions.png").is_file()


def test_a_changed_kind_is_another_run():
    """A kind in a file of its own is part of a run's identity, though the command names the data set's file only."""
    text = Path("my_kind.py").read_text()
    Path("data.py").write_text(text.replace('Task("radius", Amount,', 'Task("radius", "my_kind.py:Amount",'))
    config = RunConfig(method="hard-sharing", dataset="sizes", tasks=("radius",), steps=1)
    names = set()
    for kind in (text, text, text.replace("0.1 *", "0.2 *")):
        Path("my_kind.py").write_text(kind)
        assembly._dataset.cache_clear()  # as in a process of its own
        names.add(assembly.Assembly(assembly.Request(config, "hard-sharing", "data.py:Sizes", "out")).folder.name)
    assert len(names) == 2


def test_every_option_of_the_examples_can_be_set():
    code, runs = study(
        "--methods", "my_method.py:Branches", "--set", "branches.private=3", "--set", "discs.noise=0.3", "--no-report"
    )
    config = runs["branches"].start.config
    assert code == 0
    assert config["options"] == {"private": 3, "head_lr": 1.0}
    assert config["data"] == {"images": 24, "noise": 0.3, "val_fraction": 0.1}


def test_a_changed_file_is_another_run():
    command = ["--methods", "my_method.py:Branches", "--no-report"]
    assert study(*command)[0] == 0
    Path("my_method.py").write_text(Path("my_method.py").read_text() + "\n# changed\n")
    assert study(*command)[0] == 0
    assert len(list(records.record_folders(Path("results")))) == 2


# --- files that break

HEAD = """import torch
from baselines.hard_sharing import HardSharing


class Mine(HardSharing):
    name = 'mine'
    anchor = None
"""
BROKEN = {
    "import_error": ("import nothing_of_that_name\n" + HEAD, "No module named 'nothing_of_that_name'"),
    "syntax_error": (HEAD + "    def\n", "SyntaxError"),
    "wrong_constructor": (HEAD + "    def __init__(self):\n        pass\n", "TypeError: "),
    "wrong_forward": (HEAD + "    def forward(self, x):\n        return x\n", "TypeError: "),
    "forgets_a_task": (
        HEAD + "    def forward(self, x, tasks):\n        return super().forward(x, tasks[:1])\n",
        "forward returned nothing for 'distance' (it returned: disc)",
    ),
    "wrong_channels": (
        HEAD + "    def forward(self, x, tasks):\n"
        "        return {t: torch.cat([p, p], 1) for t, p in super().forward(x, tasks).items()}\n",
        "forward's 'disc' has the shape (8, 4, 5, 5) (expected: (8, 2, h, w))",
    ),
    "no_tensor": (
        HEAD + "    def forward(self, x, tasks):\n        return dict.fromkeys(tasks, 1.0)\n",
        "forward's 'disc' is float",
    ),
    "mid_training": (
        HEAD + "    def loss(self, losses):\n"
        "        if self.where.step == 2:\n            raise ValueError('my own mistake')\n"
        "        return super().loss(losses)\n",
        "ValueError: my own mistake",
    ),
    "no_phases": (HEAD + "    def phases(self, budget):\n        return ()\n", "phase"),
    "unmatched_prefix": (
        "from mtlbench.method import Group, Phase, Turn\n" + HEAD + "    def phases(self, budget):\n"
        "        return (Phase('train', budget.steps, turns=(Turn((Group('untis'),)),), final=True),)\n",
        "untis",
    ),
}


def test_broken_files_are_failed_runs_with_a_readable_reason_and_the_study_goes_on(capsys):
    for kind, (text, _) in BROKEN.items():
        Path(f"{kind}.py").write_text(text.replace("Mine", kind).replace("'mine'", repr(kind)))
    code, runs = study("--methods", ",".join(f"{kind}.py:{kind}" for kind in BROKEN) + ",hard-sharing", "--no-report")
    out, err = capsys.readouterr()
    assert code == 1
    assert "Traceback" not in err
    assert runs.pop("hard-sharing").status == "finished"
    assert out.rstrip().endswith(f"{len(BROKEN)} of {len(BROKEN) + 1} runs did not finish")
    assert set(runs) == set(BROKEN)
    for kind, failed in runs.items():
        reason = BROKEN[kind][1]
        assert failed.status == "failed"
        assert reason in failed.end.reason
        assert "\n" not in failed.end.reason
        assert f"failed: {kind} seed 0: {failed.end.reason}" in out  # the summary says why
        assert reason in (failed.folder / "traceback.txt").read_text()
    assert 'mid_training.py", line 10, in loss' in (runs["mid_training"].folder / "traceback.txt").read_text()


def test_a_failed_run_goes_on_once_its_file_is_mended(capsys):
    text, _ = BROKEN["mid_training"]
    Path("mine.py").write_text(text)
    assert study("--methods", "mine.py:Mine", "--no-report")[0] == 1
    Path("mine.py").write_text(HEAD)
    code, _ = study("--methods", "mine.py:Mine", "--no-report")
    assert code == 0  # the mended file is another run: its source is part of the identity
    statuses = sorted(r.status for r in records.read_all(Path("results"))[0])
    assert statuses == ["failed", "finished"]


def test_a_loss_that_explodes_is_diverged_and_the_study_goes_on(capsys):
    Path("mine.py").write_text(
        HEAD + "    def forward(self, x, tasks):\n"
        "        bad = float('nan') if self.where.step == 1 else 0.0\n"
        "        return {t: p + bad if t == 'distance' else p for t, p in super().forward(x, tasks).items()}\n"
    )
    code, runs = study("--methods", "./mine.py:Mine,hard-sharing", "--no-report")
    assert code == 1
    assert runs["mine"].status == "diverged"
    assert runs["mine"].end.reason == "loss of distance is not finite at step 1"
    assert runs["hard-sharing"].status == "finished"
    code, _ = study("--methods", "./mine.py:Mine,hard-sharing", "--no-report")
    assert code == 1  # skipped, and still not finished
    assert "diverged: mine seed 0" in capsys.readouterr().out


DATA_ERRORS = {
    "import nothing_of_that_name\n": "No module named 'nothing_of_that_name'",
    "class Mine:\n    name = 'mine'\n": "is not a data set",
    "from mtlbench.data.base import Dataset\nclass Mine(Dataset):\n    name = 'mine'\n": "abstract",
    "from mtlbench.data.base import Dataset\nclass Mine(Dataset):\n    pass\n": "name",
}


@pytest.mark.parametrize("text", DATA_ERRORS)
def test_a_broken_data_set_ends_the_command_in_one_line(capsys, text):
    Path("mine.py").write_text(text)
    code = main(["run", "--methods", "hard-sharing", "--dataset", "mine.py:Mine"])
    err = capsys.readouterr().err
    assert code == 2
    assert DATA_ERRORS[text] in err
    assert err.count("\n") == 1


# --- the door itself


def test_names_files_and_modules_lead_to_the_same_class():
    by_name = plugins.load("methods", "hard-sharing")
    assert plugins.load("methods", "baselines.hard_sharing:HardSharing") is by_name
    by_file = plugins.load("methods", "my_method.py:Branches")
    assert plugins.load("methods", "./my_method.py:Branches") is by_file
    assert by_file.name == "branches"


def test_what_is_not_there_is_named():
    with pytest.raises(UnknownName, match="unknown data set 'scense'; did you mean 'scenes'"):
        plugins.load("datasets", "scense")
    with pytest.raises(PluginError, match=r"no file 'none\.py'"):
        plugins.load("methods", "none.py:Mine")
    with pytest.raises(PluginError, match="'Branch'; did you mean 'Branches'"):
        plugins.load("methods", "my_method.py:Branch")


def test_the_source_of_a_users_file_is_hashed_and_of_the_installed_is_not():
    first = plugins.source_hash("my_method.py:Branches")
    assert first == plugins.source_hash("./my_method.py:Other")
    Path("my_method.py").write_text("# other\n")
    assert plugins.source_hash("my_method.py:Branches") != first
    assert plugins.source_hash("hard-sharing") is None
    assert plugins.source_hash("baselines.hard_sharing:HardSharing") is None
