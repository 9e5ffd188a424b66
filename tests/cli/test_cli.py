"""The command line as a user meets it: exit codes, one line for what is wrong, and what each command prints."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mtlbench import plugins, records
from mtlbench.cli.app import main

ROOT = Path(__file__).resolve().parents[2]
DISCS = f"{ROOT}/docs/examples/my_dataset.py:Discs"
BRANCHES = f"{ROOT}/docs/examples/my_method.py:Branches"
TINY = ["--dataset", DISCS, "--set", "discs.images=24", "--set", "run.head=4", "--device", "cpu", "--steps", "2"]
TINY += ["--workers", "1", "--threads", "1", "--no-report"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """In an empty folder, without the second that each latency measurement takes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mtlbench.deployed.cost.latency", lambda *_, **__: None)


def run(capsys, *arguments):
    """A command line: exit code, output, errors."""
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


# --- what is wrong


DATA = ["--dataset", DISCS]
ONE = ["--methods", "hard-sharing", *DATA]
WRONG = [
    (["rnu"], "unknown command 'rnu'; did you mean 'run'?"),
    (["data", "chekc"], "unknown command 'chekc'; did you mean 'check'?"),
    (["run", "--methds", "all"], "'--methds'; did you mean '--methods'?"),
    (["run", "--methods"], "Option '--methods' requires an argument"),
    (["run", "--methods", "all", "more"], "unexpected extra argument"),
    (["run", "--methods", "adashar", *DATA], "unknown method 'adashar'; did you mean 'adashare'? (allowed: "),
    (["run", "--methods", "hard-sharing,hard-sharing", *DATA], "a method is named twice"),
    (["run", "--methods", ",", *DATA], "'methods' is ()"),
    (["run", "--methods", "mine.py:Mine", *DATA], "no file 'mine.py'"),
    (["run", "--methods", f"{ROOT}/docs/examples/my_method.py:Branch", *DATA], "'Branch'; did you mean 'Branches'?"),
    (["run", "--methods", "hard-sharing", "--dataset", "scene"], "unknown data set 'scene'; did you mean 'scenes'?"),
    (["run", "--methods", "hard-sharing", "--dataset", "no.such:Thing"], "cannot import 'no.such'"),
    (["run", *ONE, "--tasks", "disk"], "unknown task 'disk'; did you mean 'disc'?"),
    (["run", *ONE, "--preset", "quikc"], "unknown preset of the study 'quikc'; did you mean 'quick'?"),
    (["run", *ONE, "--preset", "paper"], "unknown preset of data set discs 'paper' (allowed: quick)"),
    (["run", *ONE, "--backbone", "resnet19"], "unknown backbone 'resnet19'; did you mean 'resnet18'?"),
    (["run", *ONE, "--selection", "bestval"], "'bestval'; did you mean 'best-val'?"),
    (["run", *ONE, "--precision", "fp16"], "'fp16'; did you mean 'bf16'?"),
    (["run", *ONE, "--device", "tpu"], "unknown device of the study 'tpu'"),
    (["run", *ONE, "--steps", "0"], "'steps' is '0': Input should be greater than 0"),
    (["run", *ONE, "--steps", "many"], "'steps' is 'many': Input should be a valid integer"),
    (["run", *ONE, "--width", "-1"], "'width' is '-1'"),
    (["run", *ONE, "--workers", "0"], "'workers' is '0'"),
    (["run", *ONE, "--seeds", "one"], "seeds are 'one' (allowed: whole numbers from 0, like 0,1,2 or 0-4)"),
    (["run", *ONE, "--set", "steps"], "--set 'steps' (allowed: method.option=value"),
    (["run", *ONE, "--set", "run.stepz=1"], "unknown option of run 'stepz'; did you mean 'steps'?"),
    (["run", *ONE, "--set", "disc.images=1"], "unknown owner in --set 'disc'; did you mean 'discs'?"),
    (["run", *ONE, "--set", "discs.image=1"], "unknown option of data set discs 'image'; did you mean 'images'?"),
    (["run", "--methods", BRANCHES, *DATA, "--set", "branches.privat=1"], "'privat'; did you mean 'private'?"),
    (["run", "--methods", BRANCHES, *DATA, "--set", "branches.private=x"], "'private' is 'x'"),
    (["run", *ONE, "--config", "study.yaml"], "cannot read the configuration 'study.yaml': No such file"),
    (["run", *ONE, "--pretrained", "weights.pth"], "no weights file 'weights.pth'"),
    (["run", *ONE, "--out", "a-file/results"], "cannot write results in 'a-file/results': Not a directory"),
    (["run", "--dataset", "nyuv2", "--data-dir", "nowhere", "--methods", "hard-sharing"], "nowhere"),
    (["report", "nowhere"], "'nowhere' holds no results: no such folder"),
    (["report", "."], "it has no folder 'records'"),
    (["compare", "nowhere", "."], "'nowhere' holds no results"),
    (["list", "method"], "unknown thing to list 'method'; did you mean 'methods'?"),
    (["check"], "check needs one of METHOD and --dataset"),
    (["check", "--dataset", "scense"], "unknown data set 'scense'; did you mean 'scenes'?"),
    (["check", "sluce"], "unknown method 'sluce'; did you mean 'sluice'?"),
    (["data", "check", "nowhere"], "no folder 'nowhere'"),
    (["cost", "--tasks", "segmentatio"], "unknown task kind 'segmentatio'; did you mean 'segmentation'?"),
    (["cost", "--tasks", "depth:x"], "task 'depth:x' has no channels"),
    (["cost", "--tasks", "depth,depth"], "task 'depth' is named twice"),
    (["cost", "--image-size", "big"], "image size is 'big' (allowed: pixels from 16"),
    (["cost", "--backbone", "resnet19"], "unknown backbone 'resnet19'; did you mean 'resnet18'?"),
    (["export", "nowhere"], "'nowhere' is no run"),
    (["export", ".", "--format", "onxn"], "unknown format 'onxn'; did you mean 'onnx'?"),
    (["predict", "nowhere", "image.png"], "'nowhere' is no run"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[-60:] for a, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("")
    code, out, err = run(capsys, *arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("mtlbench: ")
    assert err.count("\n") == 1
    assert message in err
    assert {p.name for p in tmp_path.iterdir()} == {"a-file"}  # nothing written, nothing lost


def test_an_unreadable_and_a_newer_record_are_named_and_nothing_is_lost(capsys, tmp_path):
    for name, line in (("newer", '{"kind":"start","schema_version":99}'), ("broken", 'not json\n{"kind":"log"}')):
        folder = tmp_path / "results" / "records" / name
        folder.mkdir(parents=True)
        (folder / records.FILE).write_text(line + "\n")
    runs, problems = records.read_all(tmp_path / "results")
    assert runs == []
    assert [p for p in problems if "schema version 99" in p]
    assert [p for p in problems if "line 1 is damaged" in p]


# --- what is right


def test_no_argument_is_help_and_help_needs_no_torch(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    for command in ("run", "report", "compare", "list", "check", "data", "cost", "export", "predict"):
        assert f"\u2502 {command} " in out


def test_version(capsys):
    import mtlbench

    assert run(capsys, "--version") == (0, f"mtlbench {mtlbench.__version__}\n", "")


LIGHT = """
import sys
from mtlbench.cli.app import main
for arguments in ([], ["run", "--help"], ["list", "--help"], ["run", "--stepz"], ["report", "nowhere"]):
    main(arguments)
assert "torch" not in sys.modules, "torch was imported"
assert "pandas" not in sys.modules, "pandas was imported"
"""


def test_help_and_usage_errors_are_answered_without_torch():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_list_agrees_with_pyproject(capsys):
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for kind in ("methods", "datasets", "backbones"):
        code, out, _ = run(capsys, "list", kind)
        listed = [line.split()[0] for line in out.splitlines()[2:] if line[:1].strip()]
        assert code == 0
        assert sorted(listed) == sorted(groups[f"mtlbench.{kind}"])
        assert "cannot be loaded" not in out


def test_everything_registered_loads_and_says_what_it_is():
    for kind in ("methods", "datasets", "backbones"):
        for name in plugins.names(kind):
            thing = plugins.load(kind, name)
            assert (thing.__doc__ or "").strip(), f"{name} has no docstring"
            assert kind == "backbones" or thing.name == name


def test_a_dry_run_says_what_would_run_and_writes_nothing(capsys, tmp_path):
    code, out, _ = run(capsys, "run", "--methods", f"hard-sharing,{BRANCHES}", *TINY, "--seeds", "0,1", "--dry-run")
    assert code == 0
    rows = [line.split() for line in out.splitlines()[2:-1]]
    assert rows == [
        [name, seed, "study", "train:2", "2", "new"] for seed in "01" for name in ("hard-sharing", "branches")
    ]
    assert out.endswith("4 runs, 4 to do\n")
    assert list(tmp_path.iterdir()) == []


def test_run_then_skip_then_force(capsys, tmp_path):
    command = ["run", "--methods", "hard-sharing", *TINY]
    code, out, _ = run(capsys, *command)
    assert code == 0
    assert "[1/1] hard-sharing seed 0: finished" in out
    (folder,) = records.record_folders(tmp_path / "results")
    done = records.read_run(folder)
    assert done.start.command.startswith("mtlbench run --methods hard-sharing --dataset ")
    before = (folder / records.FILE).read_bytes()

    code, out, _ = run(capsys, *command)
    assert (code, "[1/1] hard-sharing seed 0: skipped" in out) == (0, True)
    assert (folder / records.FILE).read_bytes() == before

    code, out, _ = run(capsys, *command, "--dry-run")
    (row,) = (line.split() for line in out.splitlines()[2:-1])
    assert row[5] == "finished"
    assert int(row[6]) >= 0  # seconds, as the earlier run tells
    assert out.endswith("1 runs, 0 to do\n")

    code, out, _ = run(capsys, *command, "--force")
    assert (code, "finished" in out) == (0, True)
    assert records.last_attempt(folder) == 2
    assert (folder / records.FILE).read_bytes().startswith(before)


def test_a_configuration_file_is_the_flags(capsys, tmp_path):
    (tmp_path / "study.yaml").write_text(
        f"methods: [hard-sharing]\ndataset: {DISCS}\nsteps: 2\nhead: 4\ndevice: cpu\nset: {{discs: {{images: 24}}}}\n"
    )
    plans = []
    for arguments in (["--config", "study.yaml"], ["--methods", "hard-sharing", *TINY]):
        plans.append(run(capsys, "run", *arguments, "--dry-run"))
    assert plans[0] == plans[1]


def test_tuning_runs_its_trials_first_and_the_dry_run_knows(capsys, tmp_path):
    command = ["run", "--methods", "hard-sharing", *TINY, "--tune", "2"]
    code, out, _ = run(capsys, *command, "--dry-run")
    assert [line.split()[1:3] for line in out.splitlines()[2:-2]] == [
        ["10000", "tune"],
        ["10000", "tune"],
        ["0", "study"],
    ]
    assert "follow from the trials" in out

    code, out, _ = run(capsys, *command)
    assert code == 0
    runs, _ = records.read_all(tmp_path / "results")
    assert sorted(r.start.role for r in runs) == ["study", "tune", "tune"]
    for r in runs:
        assert {e.split for e in r.evals} == ({"val"} if r.start.role == "tune" else {"val", "test"})
    best = max((r for r in runs if r.start.role == "tune"), key=lambda r: r.final("val").score)
    (study,) = (r for r in runs if r.start.role == "study")
    assert study.start.config["lr"] == best.start.config["lr"]
    assert study.start.config["weight_decay"] == best.start.config["weight_decay"]

    code, out, _ = run(capsys, *command, "--dry-run")
    assert out.endswith("3 runs, 0 to do\n")


def test_pretrained_may_stand_without_a_value(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "mtlbench.study.settings.gather", lambda flags, file: seen.append(flags["pretrained"]) or {}["stop"]
    )
    for arguments in (["--pretrained"], ["--pretrained", "--force"], ["--pretrained", "file.pth"], ["--pretrained=a"]):
        with pytest.raises(KeyError):
            main(["run", *arguments])
    assert seen == ["imagenet", "imagenet", "file.pth", "a"]


def test_cost_as_json_against_a_count_by_hand(capsys):
    code, out, _ = run(
        capsys, "cost", "--methods", "single-task,hard-sharing", "--tasks", "segmentation:7,depth", "--json",
        "--image-size", "32", "--head", "4",
    )  # fmt: skip
    assert code == 0
    single, shared = json.loads(out)
    assert (single["method"], shared["method"]) == ("single-task", "hard-sharing")
    assert shared["parameters"]["ratio"] == 1
    assert single["parameters"]["ratio"] == 2
    assert round(shared["parameters"]["backbone"] / 1e6, 2) == 11.18
    branch = 512 * 4 * 9 + 4 + 4 * 4 + 4  # conv3x3 and conv1x1 with biases
    heads = sum(4 * (branch + 4 * channels + channels) for channels in (7, 1))
    assert shared["parameters"]["heads"] == heads
    assert single["macs"]["own_pass"] == shared["macs"]["own_pass"]


@pytest.mark.slow
def test_check_passes_what_keeps_the_contract(capsys):
    for arguments in ([BRANCHES], ["--dataset", DISCS, "--set", "discs.images=24"]):
        code, out, _ = run(capsys, "check", *arguments)
        assert code == 0, out
        count = out.splitlines()[-1].split()[0]
        assert out.splitlines()[-1] == f"{count} of {count} checks passed"
        assert int(count) >= 5


def test_check_names_what_breaks_it(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from baselines.hard_sharing import HardSharing\nclass Mine(HardSharing):\n    name = 'mine'\n"
        "    def forward(self, x, tasks):\n        return super().forward(x, [t.name for t in self.tasks])\n"
    )
    code, out, _ = run(capsys, "check", "mine.py:Mine")
    assert code == 1
    assert "FAILED" in out


def test_compare_of_a_folder_with_itself_finds_nothing_worse(capsys):
    assert run(capsys, "run", "--methods", "hard-sharing", *TINY)[0] == 0
    code, out, _ = run(capsys, "compare", "results", "results")
    assert code == 0
    assert out.startswith("from results to results")


def test_report_with_a_limit_recommends(capsys):
    assert run(capsys, "run", "--methods", "single-task,hard-sharing", *TINY)[0] == 0
    code, out, _ = run(capsys, "report", "results", "--max-params", "1.5x")
    assert code == 0
    assert "hard-sharing" in out.split("the whole report")[1]
    code, _, err = run(capsys, "report", "results", "--max-params", "lots")
    assert (code, err.count("\n")) == (2, 1)
    assert "lots" in err


def test_cost_as_a_table_with_a_method_of_ones_own(capsys):
    code, out, _ = run(
        capsys, "cost", "--methods", f"hard-sharing,{BRANCHES}", "--image-size", "32x48", "--head", "4",
        "--width", "0.125", "--set", "branches.private=4", "--tasks", "edges,depth",
    )  # fmt: skip
    assert code == 0
    header, _, first, second = out.splitlines()[:4]
    assert header.split()[0] == "method"
    assert first.split()[:3] == ["hard-sharing", "0.18", "1.000"]
    ratio = float(second.split()[2])
    assert 1.9 < ratio < 2  # all but the stem is private
