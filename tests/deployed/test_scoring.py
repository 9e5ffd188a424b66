"""The score against the relative gains it stands for, and its standard error against the spread over drawn images."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from mtlbench.deployed.evaluation import Evaluation
from mtlbench.deployed.scoring import score
from mtlbench.tasks import Task
from mtlbench.tasks.metric import figures, log_gain

SEGMENTATION, DEPTH = Task("segmentation", "segmentation", 3), Task("depth", "depth", 1)
MIOU, ERROR = SEGMENTATION.primary, DEPTH.primary


@pytest.mark.parametrize(("metric", "value", "better"), [(MIOU, 30.0, 30.6), (MIOU, 60.0, 61.2), (ERROR, 0.7, 0.686)])
def test_differences_are_relative_gains_whatever_the_reference(metric, value, better):
    for constant in (1.0, 2.5):
        gain = log_gain(metric, better, constant) - log_gain(metric, value, constant)
        assert gain == pytest.approx(0.02, rel=0.06)  # two per cent better


def test_the_constant_predictor_scores_0_and_no_figure_is_infinite():
    assert log_gain(MIOU, 5.0, 5.0) == log_gain(ERROR, 0.4, 0.4) == 0
    assert log_gain(MIOU, 0.0, 5.0) == pytest.approx(-math.log(6))
    assert log_gain(ERROR, 0.0, 0.4) == pytest.approx(math.log(101))
    assert math.isnan(log_gain(ERROR, 0.1, 0.0)) and math.isnan(log_gain(MIOU, 99.0, 100.0))


def test_figures_below_zero_and_better_than_perfect_have_a_score():
    likelihood = replace(ERROR, name="log_likelihood", higher=True, best=0.0)
    assert log_gain(likelihood, -1.0, -2.0) == pytest.approx(log_gain(ERROR, 1.0, 2.0))
    assert log_gain(replace(ERROR, name="nll"), -0.5, 1.2) == pytest.approx(math.log(101))  # perfect is 0 by default
    assert log_gain(replace(MIOU, name="r2", best=1.0), -0.3, 0.0) == 0


def drawn(random, images=400):
    """An evaluation of images whose errors are drawn: their statistics, and the metrics of their sums."""
    right = random.binomial(50, 0.6, (images, 3)).astype(float)
    truth = np.full((images, 3), 50.0)
    own = {"intersection": right, "truth": truth, "predicted": truth}
    errors = {"abs": 0.5 * random.gamma(4.0, size=(images, 1)), "count": np.ones((images, 1))}
    rows = {f"segmentation/{k}": v for k, v in own.items()} | {f"depth/{k}": v for k, v in errors.items()}
    metrics = {
        "segmentation": figures([MIOU], {k: v.sum(0) for k, v in own.items()}),
        "depth": figures([ERROR], {k: v.sum(0) for k, v in errors.items()}),
    }
    return Evaluation(metrics, {}, rows)


def test_the_standard_error_is_the_spread_over_draws_of_images():
    constant = {"segmentation": {"miou": 2.0}, "depth": {"abs_error": 4.0}}
    random = np.random.default_rng(0)
    found = [score((SEGMENTATION, DEPTH), drawn(random), constant) for _ in range(300)]
    spread = np.std([f.value for f in found])
    assert np.sqrt(np.mean([f.error**2 for f in found])) == pytest.approx(spread, rel=0.1)


def test_one_image_has_no_standard_error_and_no_gain_no_score():
    single = drawn(np.random.default_rng(0), 1)
    assert math.isnan(score((DEPTH,), single, {"depth": {"abs_error": 4.0}}).error)
    assert math.isnan(score((DEPTH,), single, {"depth": {"abs_error": 0.0}}).value)
