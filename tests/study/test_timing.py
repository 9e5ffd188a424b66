"""A study's last stage: its networks are timed side by side after the runs, once, and only where that is wanted."""

import pytest

from mtlbench import read_run, run_study
from mtlbench.study.conduct import conduct
from mtlbench.study.settings import gather
from mtlbench.study.study import resolve
from mtlbench.study.timing import time_networks
from tests.helpers.command import DISCS


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The settings of a tiny study, whose networks are timed in a moment."""
    for name, least in (("BLOCK", 0.0), ("ROUNDS", 1), ("LEAST", 1)):
        monkeypatch.setattr(f"mtlbench.deployed.latency.{name}", least)
    given = {"methods": "single-task,hard-sharing", "dataset": DISCS, "set": ["discs.images=24", "run.head=4"]}
    return {**given, "steps": 1, "batch_size": 2, "workers": 1, "threads": 1, "device": "cpu", "out": str(tmp_path)}


def sessions(done):
    """The session in which each run's network was timed; None where it was not."""
    lines = [read_run(outcome.folder).latency for outcome in done.outcomes]
    assert all(line is None or line.median_ms > 0 for line in lines)
    return [line and line.session for line in lines]


def test_a_notebooks_study_times_its_networks_in_one_session_and_once(study):
    first = sessions(run_study(**study))
    assert len(first) == 2 and len(set(first)) == 1 and first[0]
    assert sessions(run_study(**study)) == first  # nothing is new


def test_what_was_left_out_is_made_up_for_and_told_before(study):
    done = run_study(**study, latency=False)
    assert sessions(done) == [None, None]
    told, resolved = [], resolve(gather(study))
    again = conduct(resolved)
    rows = time_networks(resolved, again, told.append)
    assert all(outcome.skipped for outcome in again.outcomes)
    assert told == [[row.folder for row in rows]] == [[outcome.folder for outcome in done.outcomes]]
    assert [row.line.session for row in rows] == sessions(done)
    assert time_networks(resolved, again, told.append) == []
