"""Where requests lie and how they stand, known without building a network."""

import pickle
import time

import pytest

from mtlbench.runs import runner
from mtlbench.runs.assembly import Assembly
from mtlbench.runs.previews import Previews
from tests.runs.test_runner import METHODS, numbers, request


@pytest.mark.parametrize("method", METHODS)
def test_it_is_what_the_plan_says(tmp_path, method):
    asked = request(tmp_path, method)
    plan, standing = runner.plan(asked), runner.standing(asked)
    assert (standing.folder, standing.status, standing.steps) == (plan.folder, "new", plan.steps)
    final = request(tmp_path, method, budget="final")
    assert runner.standing(final).steps == runner.plan(final).steps


def test_a_finished_run_is_seen(tmp_path):
    outcome = runner.execute(request(tmp_path))
    standing = runner.standing(request(tmp_path))
    assert (standing.folder, standing.status) == (outcome.folder, "finished")
    assert numbers(standing.folder)["status"] == "finished"


def test_96_requests_take_less_than_half_a_second_and_build_nothing(tmp_path, monkeypatch):
    requests = [request(tmp_path, method, seed=seed) for method in METHODS for seed in range(16)]
    runner.standing(requests[0])  # the data set is opened, and its fingerprint taken, once
    monkeypatch.setattr(Assembly, "build", lambda _: pytest.fail("a network is built"))
    began = time.process_time()
    folders = {runner.standing(r).folder for r in requests}
    assert time.process_time() - began < 0.5
    assert len(folders) == 96


def test_previews_of_96_requests_build_a_network_a_method_and_say_what_each_plan_says(tmp_path, monkeypatch):
    built = []
    make = Assembly.method
    monkeypatch.setattr(Assembly, "method", lambda parts: built.append(parts.config.method) or make(parts))
    requests = [request(tmp_path, method, seed=seed) for method in METHODS for seed in range(16)]
    known = Previews()
    previews = [known.of(r) for r in requests]
    assert sorted(built) == sorted(METHODS)
    assert len({p.folder for p in previews}) == 96
    assert previews[3::16] == [runner.plan(r) for r in requests[3::16]]


def test_what_decides_phases_is_built_anew_and_a_failure_is_told_each_time(tmp_path, monkeypatch):
    known, built = Previews(), []
    make = Assembly.method
    monkeypatch.setattr(Assembly, "method", lambda parts: built.append(parts.config) or make(parts))
    changes = ({"steps": 7}, {"batch_size": 3}, {"budget": "final"}, {"width": 0.125})
    for change in ({}, {"lr": 0.1}, {"weight_decay": 0.1}, *changes):
        asked = request(tmp_path, "adashare", **change)
        assert known.of(asked) == runner.plan(asked)
    assert len(built) == 7 + 5  # the plans', and those of the previews

    monkeypatch.setattr(Assembly, "method", lambda parts: built.append(1) or 1 / 0)
    for seed in range(3):
        with pytest.raises(ZeroDivisionError):
            known.of(request(tmp_path, "nddr", seed=seed))
    assert len(built) == 13


def test_requests_travel_between_processes(tmp_path):
    asked = request(tmp_path, "adashare", seed=3)
    assert pickle.loads(pickle.dumps(asked)) == asked
