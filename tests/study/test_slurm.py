"""A real Slurm of one node: a study as arrays, its submitter gone, one job killed, one requeued, the controller restarted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.runs import runner, signs
from mtlbench.study import cluster, start, study
from mtlbench.study.settings import gather
from tests.helpers.one_node_slurm import missing, one_node, until
from tests.study.runs_compared import bits
from tests.study.test_cluster import SLOW, SMALL

SEEDS = 12


@pytest.mark.slow
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_twelve_runs_on_a_real_slurm_equal_those_here_to_the_bit(tmp_path, monkeypatch):
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "cluster.yaml").write_text("backend: slurm\ntime: 60\ncpus_per_task: 1\n")
    asked = {**SMALL, "methods": f"{tmp_path / 'slow.py'}:Slow", "steps": 100, "seeds": f"0-{SEEDS - 1}"}
    given = {**asked, "out": str(tmp_path / "there"), "parallel": str(tmp_path / "cluster.yaml")}
    with one_node(tmp_path / "slurm") as slurm:
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, slurm.environment[name])
        root = str(Path(__file__).resolve().parents[2])
        monkeypatch.setenv("PYTHONPATH", root)
        resolved = study.resolve(gather(given))
        folders = [runner.standing(r).folder for r in study.runs(resolved)]

        code = f"from mtlbench.study.start import run_study; run_study(latency=False, **{given!r})"
        with subprocess.Popen([sys.executable, "-c", code]) as submitter:
            until(lambda: cluster.Cluster(resolved, submits=False).closing, 180, "the submission")
            submitter.kill()  # the jobs need nobody
        jobs = cluster.Cluster(resolved, submits=False)._jobs
        assert [jobs[f"runs {n}"].partition("_")[2] for n in range(SEEDS)] == [str(n) for n in range(SEEDS)]

        def trains(number):
            sign = signs.read(folders[number])
            return sign is not None and 0 < sign.step < 90

        until(lambda: trains(0), 300, "the first run")
        os.kill(signs.read(folders[0]).process, signal.SIGKILL)
        number = next(n for n in range(1, SEEDS) if records.status_of(folders[n]) != "finished")
        until(lambda: trains(number), 300, "another run")
        slurm.ask("scontrol", "requeue", jobs[f"runs {number}"])
        slurm.stop("slurmctld")
        slurm.start("slurmctld", "-D")
        until(lambda: slurm.ask("sinfo", "--noheader") != "", 60)
        until(lambda: not slurm.ask("squeue", "--noheader"), 1200, "all jobs")

        states = [runner.recorded(r) for r in study.runs(resolved)]
        assert [o.status for o in states] == ["failed"] + ["finished"] * (SEEDS - 1)  # the closing job said so
        assert "JobState FAILED" in states[0].reason
        kinds = [line.kind for line in records.read_lines(folders[number] / records.FILE)]
        assert kinds.count("resume") == 1  # it was requeued in the middle
        done = start.run_study(latency=False, **given)  # the same again: one job
        assert [o.skipped for o in done.outcomes] == [False] + [True] * (SEEDS - 1)
    start.run_study(latency=False, **asked, out=str(tmp_path / "here"), workers=1)
    assert bits(tmp_path / "there") == bits(tmp_path / "here")
    assert {run["status"] for run in bits(tmp_path / "there").values()} == {"finished"}
