"""A study as a cluster's jobs: the same bits as here, stages after stages, warnings heeded, losses told."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.errors import ConfigError
from mtlbench.runs import runner, signs
from mtlbench.study import cluster, parallel, slurm, start, study
from mtlbench.study.settings import gather
from tests.helpers.one_node_slurm import until
from tests.study.runs_compared import bits
from tests.study.test_study import BOTH, DISCS

SMALL = {"dataset": DISCS, "device": "cpu", "steps": 4, "batch_size": 2, "threads": 1}
SMALL["set"] = ["discs.images=16", "run.width=0.0625", "run.head=4", "run.evaluations=1"]

SLOW = """
import time
from baselines.hard_sharing import HardSharing

class Slow(HardSharing):
    name = "slow"

    def forward(self, x, tasks):
        time.sleep(0.05 if self.training else 0)
        return super().forward(x, tasks)
"""


@pytest.fixture(autouse=True)
def _found_by_children(monkeypatch):
    root = str(Path(__file__).resolve().parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))


def file(folder: Path, text: str) -> str:
    path = folder / "cluster.yaml"
    path.write_text(text)
    return str(path)


def made(out: Path, **given):
    return study.resolve(gather({**SMALL, "out": str(out), **given}))


@pytest.mark.parametrize(
    ("asked", "roles"),
    [
        ({"methods": BOTH, "budget": "final", "tune": 1, "tune_seeds": 2}, {"study", "control"}),
        ({"methods": "random-policy,adashare"}, {"study"}),
    ],
    ids=["trials, runs and controls", "a run that follows another"],
)
def test_the_debug_backend_goes_through_all_stages_to_the_same_bits(tmp_path, asked, roles):
    here = start.run_study(latency=False, **SMALL, **asked, out=str(tmp_path / "here"), workers=1)
    given = {**SMALL, **asked, "parallel": file(tmp_path, "backend: debug"), "out": str(tmp_path / "there")}
    done = start.run_study(latency=False, **given)
    assert [o.status for o in done.outcomes] == [o.status for o in here.outcomes] == ["finished"] * len(here.outcomes)
    assert done.chosen == here.chosen and {r.config.role for r in done.requests} == roles
    assert bits(tmp_path / "there") == bits(tmp_path / "here")
    assert all(o.skipped for o in start.run_study(latency=False, **given).outcomes)


def test_the_local_backend_runs_side_by_side_to_the_same_bits(tmp_path):
    asked = {**SMALL, "methods": BOTH}
    start.run_study(latency=False, **asked, out=str(tmp_path / "here"), workers=1)
    done = start.run_study(
        latency=False, **asked, out=str(tmp_path / "there"), workers=2, parallel=file(tmp_path, "backend: local")
    )
    assert [o.status for o in done.outcomes] == ["finished"] * 2
    assert bits(tmp_path / "there") == bits(tmp_path / "here")


def test_a_warned_job_writes_a_checkpoint_is_started_again_and_ends_with_the_same_bits(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    asked = {**SMALL, "methods": f"{tmp_path / 'slow.py'}:Slow", "steps": 60, "force": True}
    given = {**asked, "parallel": file(tmp_path, "backend: local")}
    resolved = made(tmp_path / "there", **given)
    (request,) = study.runs(resolved)
    folder = runner.standing(request).folder
    made_by = cluster.Cluster(resolved)
    job = resolved.parallel.executor(tmp_path / "there" / "jobs").submit(made_by._job("runs", 0))
    until(lambda: (sign := signs.read(folder)) is not None and sign.step > 2, 120, "the run")
    os.kill(signs.read(folder).process, signal.SIGUSR2)
    until(job.done, 180, "the job")
    start.run_study(latency=False, **asked, out=str(tmp_path / "here"), workers=1)
    assert bits(tmp_path / "there") == bits(tmp_path / "here")
    resumed = [line for line in records.read_lines(folder / records.FILE) if line.kind == "resume"]
    assert len(resumed) == 1 and 0 < resumed[0].step < 60  # though --force was asked for: what is queued again goes on


class Gone:
    def alive(self):
        return False

    def end(self):
        return "its job 7_0 ended without it: JobState NODE_FAIL, Reason NodeDown"


def test_a_lost_job_is_a_failed_run_with_the_schedulers_reason(tmp_path):
    (request,) = study.runs(made(tmp_path, methods="hard-sharing"))
    outcome = cluster._ended(request, Gone())
    assert outcome.status == "failed" and "NODE_FAIL" in outcome.reason
    run = records.read_run(outcome.folder)
    assert run.status == "failed" and run.end.reason == Gone().end()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("backend: slrum", "unknown backend in .*'slrum'; did you mean 'slurm'"),
        ("backend: local\npartitions: x", "unknown key of local in .*'partitions'"),
        ("backend: local\ntimeout_min: soon", "--parallel: .*timeout_min"),
        ("[1]", "a mapping like 'backend: slurm' is expected"),
        ("backend: slurm", "there is no sbatch here"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path, monkeypatch, text, said):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigError, match=said) as error:
        parallel.read_parallel(file(tmp_path, text))
    assert "\n" not in str(error.value)


# --- Slurm's commands, pretended --------------------------------------------------------------------------------------

SBATCH = """#!/bin/sh
n=$(($(cat {folder}/count) + 1)); echo $n > {folder}/count
cp "$1" {folder}/script$n; echo "Submitted batch job $n"
"""


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    """Commands that remember what they are given; files `squeue` and `scontrol` hold their answers."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    (folder / "count").write_text("0")
    answer = f'#!/bin/sh\nname=$(basename "$0")\ncat {folder}/$name.txt 2>/dev/null || exit 1\n'
    for name, text in {"sbatch": SBATCH, "squeue": answer, "scontrol": answer, "srun": answer, "sacct": answer}.items():
        (folder / name).write_text(text.format(folder=folder) if name == "sbatch" else text)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_the_stages_are_arrays_that_wait_for_each_other_and_are_submitted_once(tmp_path, pretended):
    yaml = file(tmp_path, "backend: slurm\npartition: gpu\ntime: 30\ngpus_per_node: 1\narray_parallelism: 3")
    asked = {"methods": "hard-sharing,random-policy,adashare", "seeds": "0-2", "budget": "final", "tune": 2}
    resolved = made(tmp_path / "out", **asked, parallel=yaml, device="auto")
    assert resolved.device == "cuda"  # the jobs', though there is none here
    (pretended / "squeue.txt").write_text("")
    done = start.perform(resolved)
    assert {o.status for o in done.outcomes} == {"failed"}  # nobody did anything
    scripts = [(pretended / f"script{n}").read_text() for n in range(1, int((pretended / "count").read_text()) + 1)]
    arrays = [next((x for x in s.splitlines() if "--array" in x), "").partition("=")[2] for s in scripts]
    assert arrays == ["0-11%3", "0-5%3", "0-2%3", "0-17%3", ""]
    waits = [next((x for x in s.splitlines() if "--dependency" in x), "").partition("=")[2] for s in scripts]
    assert waits == ["", "afterany:1", "afterany:2", "afterany:3", "afterany:4"]
    assert all("--partition=gpu" in s and "--gpus-per-node=1" in s and "--time=30" in s for s in scripts)
    (pretended / "squeue.txt").write_text("5\n")  # the closing job waits: the same command follows, and submits nothing
    followed = cluster.Cluster(resolved)
    assert followed.closing == "5" and (pretended / "count").read_text().strip() == "5"


def test_a_controller_that_does_not_answer_changes_nothing(pretended, monkeypatch):
    monkeypatch.setattr(slurm, "EVERY", 0.0)
    queue = slurm.Queue()
    assert queue.holds("3_1")  # nobody has ever answered
    (pretended / "squeue.txt").write_text("3_1\n3_2\n")
    assert queue.holds("3_1") and not queue.holds("3_0")
    (pretended / "squeue.txt").unlink()
    assert queue.holds("3_2") and not queue.holds("3_0")


def test_why_a_job_is_gone_is_said_in_the_schedulers_words(pretended):
    (pretended / "scontrol.txt").write_text("JobId=9 JobName=x JobState=TIMEOUT Reason=TimeLimit ExitCode=0:15\n")
    told = "its job 3_1 ended without it: JobState TIMEOUT, Reason TimeLimit, ExitCode 0:15"
    assert slurm.Queue().reason("3_1") == told
    (pretended / "scontrol.txt").unlink()
    (pretended / "sacct.txt").write_text("NODE_FAIL|1:0\n")
    assert slurm.Queue().reason("3_1") == "its job 3_1 ended without it: JobState NODE_FAIL, ExitCode 1:0"
    (pretended / "sacct.txt").unlink()
    assert "knows no more of it" in slurm.Queue().reason("3_1")
