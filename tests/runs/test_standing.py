"""Where requests lie and how they stand, known without building a network."""

import pickle
import time

import pytest

from mtlbench.runs import runner
from mtlbench.runs.assembly import Assembly
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


def test_requests_travel_between_processes(tmp_path):
    asked = request(tmp_path, "adashare", seed=3)
    assert pickle.loads(pickle.dumps(asked)) == asked
