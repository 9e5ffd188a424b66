"""`mtlbench run`."""

import pytest
from filelock import FileLock

from mtlbench import records
from mtlbench.cli.app import main
from tests.helpers.command import BRANCHES, DATA, DISCS, ONE, ROOT, TINY, refused, run

WRONG = [
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
    (["run", *ONE, "--device", "tpu"], "device is 'tpu' (allowed: auto, cpu, cuda, or cuda:1"),
    (["run", *ONE, "--steps", "0"], "'steps' is '0': allowed: above 0, at most 1,000,000,000"),
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
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[-60:] for a, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("")
    assert message in refused(capsys, *arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"a-file"}  # nothing written, nothing lost


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
        ["10001", "tune"],
        ["10000", "tune"],
        ["10001", "tune"],
        ["0", "study"],
    ]
    assert "follow from the trials" in out

    code, out, _ = run(capsys, *command)
    assert code == 0
    runs, _ = records.read_all(tmp_path / "results")
    assert sorted(r.start.role for r in runs) == ["study", *["tune"] * 4]
    for r in runs:
        assert {e.split for e in r.evals} == ({"val"} if r.start.role == "tune" else {"val", "test"})
    scores = {i: [r.final("val").gain for r in runs if r.start.trial == i] for i in (0, 1)}
    best = next(r for r in runs if r.start.trial == max(scores, key=lambda i: sum(scores[i])))
    (study,) = (r for r in runs if r.start.role == "study")
    assert study.start.config["lr"] == best.start.config["lr"]
    assert study.start.config["weight_decay"] == best.start.config["weight_decay"]

    code, out, _ = run(capsys, *command, "--dry-run")
    assert out.endswith("5 runs, 0 to do\n")


def test_pretrained_may_stand_without_a_value(capsys, monkeypatch):
    seen = []
    monkeypatch.setattr("mtlbench.cli.run.gather", lambda flags, file: seen.append(flags["pretrained"]) or {}["stop"])
    for arguments in (["--pretrained"], ["--pretrained", "--force"], ["--pretrained", "file.pth"], ["--pretrained=a"]):
        assert main(["run", *arguments]) == 1
    assert seen == ["imagenet", "imagenet", "file.pth", "a"]


def test_on_a_full_disk_the_first_error_and_the_folder_are_told(capsys, tmp_path, small_disk):
    command = ["run", "--methods", "hard-sharing", *TINY]
    (tmp_path / "results" / "records").mkdir(parents=True)
    small_disk(0)
    code, out, _ = run(capsys, *command)
    assert code == 1
    folder = next((tmp_path / "results" / "records").glob("hard-sharing-*"))
    place = folder.relative_to(tmp_path)
    assert f"failed: hard-sharing seed 0: cannot write the record in '{place}': File too large ({place})" in out


UNOPENED = """
from pathlib import Path
from docs_example import Discs

class Unopened(Discs):
    name = "unopened"

    def __init__(self, options, root, tasks):
        Path("opened").touch()
        super().__init__(options, root, tasks)
"""
EARLY = [
    (["--set", "branches.privat=1"], "'privat'; did you mean 'private'?"),
    (["--set", "branches.private=x"], "'private' is 'x'"),
    (["--set", "unopened.image=1"], "unknown option of data set unopened 'image'; did you mean 'images'?"),
    (["--set", "unopened.val_fraction=nan"], "'val_fraction' is 'nan'"),
    (["--set", "unopenedd.images=1"], "unknown owner in --set 'unopenedd'; did you mean 'unopened'?"),
    (["--set", "run.lr=x"], "'lr' is 'x'"),
    (["--set", "run.lr=inf"], "'lr' is 'inf': allowed: above 0, at most 1,000,000"),
    (["--set", "run.stepz=1"], "unknown option of run 'stepz'; did you mean 'steps'?"),
    (["--steps", "0"], "'steps' is '0'"),
    (["--width", "9"], "'width' is '9'"),
    (["--backbone", "resnet19"], "unknown backbone 'resnet19'; did you mean 'resnet18'?"),
    (["--backbone", "gone.py:Net"], "no file 'gone.py'"),
    (["--backbone", "broken.py:Net"], "cannot import 'broken.py': ZeroDivisionError"),
    (["--preset", "papier"], "unknown preset of the study 'papier'"),
    (["--pretrained", "broken.py"], "cannot read weights file 'broken.py'"),
    (
        ["--device", "mps"],
        "device is 'mps' (allowed: auto, cpu, cuda, or cuda:1 for the second of several; Apple's GPUs are not supported)",
    ),
    (["--device", "cuda:999"], "device 'cuda:999' is not available here (allowed: auto, cpu"),
    (["--device", "gpu:99"], "device 'cuda:99' is not available here (allowed: auto, cpu"),
    (["--workers", "0"], "'workers' is '0'"),
]


BOUNDS = [
    ("adashare", "adashare.lambda_sparsity=.inf", "'lambda_sparsity' is inf: allowed: from 0"),
    ("nddr", "nddr.units_lr=.inf", "'units_lr' is inf: allowed: above 0"),
    ("adashare", "adashare.warmup=.9", "method adashare: warmup, search and trials take 1.2 of the budget"),
    ("hard-sharing", "discs.noise=.nan", "'noise' is nan: Input should be a finite number"),
    ("hard-sharing", "discs.val_fraction=-1", "'val_fraction' is -1: allowed: above 0, below 1"),
    ("hard-sharing", "run.evaluations=10000000", "allowed: from 1, at most 1,000,000"),
    ("hard-sharing", "run.schedule=step:0:0", "are numbers above 0"),
]


@pytest.mark.parametrize(("method", "given", "message"), BOUNDS)
def test_a_value_out_of_bounds_is_named_with_its_bounds(capsys, method, given, message):
    assert message in refused(capsys, "run", "--methods", method, *DATA, "--set", given, "--dry-run")


@pytest.mark.parametrize(("arguments", "message"), EARLY, ids=[" ".join(a) for a, _ in EARLY])
def test_a_wrong_option_is_named_before_the_data_are_opened(capsys, tmp_path, monkeypatch, arguments, message):
    example = (ROOT / "docs/examples/my_dataset.py").read_text()
    (tmp_path / "mine.py").write_text(UNOPENED.replace("from docs_example import Discs\n", example))
    (tmp_path / "broken.py").write_text("1 / 0\n")
    command = ["run", "--methods", f"hard-sharing,{BRANCHES}", "--dataset", "mine.py:Unopened"]
    assert message in refused(capsys, *command, *arguments, "--dry-run")
    assert not (tmp_path / "opened").exists()


def test_without_a_wrong_option_it_is_opened(capsys, tmp_path):
    example = (ROOT / "docs/examples/my_dataset.py").read_text()
    (tmp_path / "right.py").write_text(UNOPENED.replace("from docs_example import Discs\n", example))
    assert run(capsys, "run", "--methods", "hard-sharing", "--dataset", "right.py:Unopened", "--dry-run")[0] == 0
    assert (tmp_path / "opened").exists()


def test_a_run_that_another_process_holds_is_busy_and_not_done(capsys, tmp_path):
    command = ["run", "--methods", "hard-sharing", *TINY, "--no-report"]
    assert run(capsys, *command)[0] == 0
    (folder,) = records.record_folders(tmp_path / "results")
    before = (folder / records.FILE).read_bytes()
    with FileLock(folder / "record.lock"):
        for more in ([], ["--force"]):
            code, out, _ = run(capsys, *command, *more)
            assert code == 1
            assert "busy: hard-sharing seed 0: another process is at it; nothing was done for it here (" in out
            assert out.endswith("1 of 1 runs are busy elsewhere: the same command again takes them in\n")
    assert (folder / records.FILE).read_bytes() == before
