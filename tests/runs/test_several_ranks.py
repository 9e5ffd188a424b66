"""A run under torchrun: the record of one process, a killed rank, and going on with another number of ranks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mtlbench import records
from mtlbench.errors import RankLost
from mtlbench.runs import runner
from mtlbench.runs.ends import ended_where_lost
from mtlbench.study import study
from mtlbench.study.settings import gather
from mtlbench.training.ranks import World
from tests.helpers.one_node_slurm import until
from tests.study.test_cluster import SLOW, SMALL

ROOT = Path(__file__).resolve().parents[2]
RUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "0"]
RUN += ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0", "-m", "mtlbench", "run"]


def command(out, spec, steps):
    flags = [
        "--methods",
        spec,
        "--dataset",
        SMALL["dataset"],
        "--steps",
        str(steps),
        "--batch-size",
        "4",
        "--out",
        str(out),
    ]
    flags += [x for text in SMALL["set"] for x in ("--set", text)]
    return [*flags, "--device", "cpu", "--threads", "1", "--no-report", "--no-latency"]


def environment():
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def ranks_of(parent):
    """The processes of the ranks, by number."""
    found = {}
    for path in Path("/proc").iterdir():
        try:
            words = (path / "environ").read_bytes().split(b"\0")
            if path.name.isdigit() and int((path / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                found |= {int(w[5:]): int(path.name) for w in words if w.startswith(b"RANK=")}
        except (OSError, ValueError):
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for the ranks in /proc")
@pytest.mark.parametrize("lost", [1, 0])
def test_a_killed_rank_ends_the_run_as_failed_and_it_goes_on_in_one_process(tmp_path, lost):
    (tmp_path / "slow.py").write_text(SLOW)
    flags = command(tmp_path / "out", f"{tmp_path / 'slow.py'}:Slow", 100)
    with subprocess.Popen([*RUN, *flags], env=environment(), stderr=subprocess.PIPE, text=True) as torchrun:
        found = lambda: next(iter((tmp_path / "out" / "records").glob("*/running.json")), None)  # noqa: E731
        until(lambda: found() is not None and '"step": 0' not in found().read_text(), 300, "the run")
        folder = found().parent
        os.kill(ranks_of(torchrun.pid)[lost], signal.SIGKILL)
        _, said = torchrun.communicate(timeout=200)
    assert torchrun.returncode != 0
    run = records.read_run(folder)
    assert run.status == "failed" and "another rank is gone" in run.end.reason, said[-2000:]
    assert run.start.environment["ranks"] == 2
    if lost == 1:  # once is enough for the rest
        done = subprocess.run([sys.executable, "-m", "mtlbench", "run", *flags], env=environment(), check=False)
        assert done.returncode == 0
        run = records.read_run(folder)
        assert run.status == "finished" and run.end.step == 100
        assert "with 1 ranks, not 2" in run.notes[-1]


def test_several_runs_under_torchrun_are_done_once_and_said_once(tmp_path):
    flags = command(tmp_path, "hard-sharing,den,single-task", 4)
    done = subprocess.run([*RUN, *flags], env=environment(), capture_output=True, text=True, check=False, timeout=400)
    assert done.stdout.count("hard-sharing seed 0: finished") == 1, done.stdout + done.stderr[-2000:]
    runs = {r.start.method: r for r in map(records.read_run, records.record_folders(tmp_path))}
    assert {name: r.status for name, r in runs.items()} == {
        "hard-sharing": "finished", "den": "failed", "single-task": "finished",
    }  # fmt: skip
    assert "den trains in one process" in runs["den"].end.reason
    assert all(r.start.environment["ranks"] == 2 for r in runs.values())


def test_local_norms_are_part_of_the_name_with_the_number_of_ranks(tmp_path, monkeypatch):
    def name(ranks, *more):
        monkeypatch.setenv("WORLD_SIZE", str(ranks))
        given = {**SMALL, "set": [*SMALL["set"], *more], "methods": "hard-sharing", "out": str(tmp_path)}
        (request,) = study.runs(study.resolve(gather(given)))
        assert request.ranks == ranks
        return runner.folder_of(request).name

    assert name(1) == name(2) == name(8)
    local = {name(ranks, "run.local_norm=true") for ranks in (1, 2, 8)}
    assert len({*local, name(1)}) == 4


def test_whoever_is_left_ends_the_record(tmp_path):
    (request,) = study.runs(study.resolve(gather({**SMALL, "methods": "hard-sharing", "out": str(tmp_path)})))
    folder = runner.folder_of(request)
    runner.abandon(request, "before")
    (folder / records.FILE).write_bytes(b"".join((folder / records.FILE).read_bytes().splitlines(True)[:-1]))  # no end
    assert records.status_of(folder) == "unfinished"
    for world, status in ((World(0, 2), "unfinished"), (World(1, 2), "failed")):
        with pytest.raises(RankLost), ended_where_lost(folder, world):
            raise RankLost("another rank is gone")
        assert records.status_of(folder) == status
