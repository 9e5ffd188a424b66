"""The score: tasks with nothing to learn are left out of it, and the others go on counting."""

import math

import pytest

from mtlbench.deployed.evaluation import mean_skill, skills
from mtlbench.tasks import Task

TASKS = (Task("depth", "depth", 1), Task("edges", "edges", 1))


@pytest.mark.parametrize("error", [0.0, 0.3])
def test_a_label_that_never_changes_takes_no_part_in_the_score(error):
    found = skills(
        TASKS,
        {"depth": {"abs_error": error}, "edges": {"error": 0.1}},
        {"depth": {"abs_error": 0.0}, "edges": {"error": 0.4}},
    )
    assert math.isnan(found["depth"])
    assert mean_skill(found) == found["edges"] == pytest.approx(0.75)
