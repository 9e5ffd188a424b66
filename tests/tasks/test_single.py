"""Kinds with one label an input: regression, multi-label and ordinal, against torchmetrics and by hand."""

import math

import pytest
import torch

from mtlbench.tasks import VOID, Task
from mtlbench.tasks.kinds.multi_label import BINS, LOW, WIDTH
from mtlbench.tasks.metrics import ConstantPredictor
from tests.tasks.test_losses import ABSOLUTE, LABELS, LEVELS, NUMBERS, SINGLE, example
from tests.tasks.test_metrics import constant_of, metrics

BATCH = 64


@pytest.mark.parametrize("task", [NUMBERS, ABSOLUTE], ids=lambda t: t.kind)
def test_regression_is_torchmetrics(task):
    from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError, R2Score

    prediction, target = example(task, BATCH)
    guess, truth = prediction[1:].float().double(), target[1:]
    found = metrics(task, prediction, target)
    assert found["rmse"] == pytest.approx(
        float(MeanSquaredError(squared=False)(guess.flatten(), truth.flatten())), rel=1e-6
    )
    assert found["r2"] == pytest.approx(float(R2Score()(guess, truth)), rel=1e-5)
    if task is ABSOLUTE:
        assert found["mae"] == pytest.approx(float(MeanAbsoluteError()(guess, truth)), rel=1e-6)


def test_r2_of_a_large_label_is_not_lost_to_rounding():
    year = 2000 + torch.randn(500, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    guess = year + 0.5 * torch.randn(500, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    guess = guess.float()  # as a network gives it
    expected = 1 - float(((guess - year) ** 2).sum() / ((year - year.mean()) ** 2).sum())
    assert metrics(ABSOLUTE, guess, year)["r2"] == pytest.approx(expected, rel=1e-6)


def test_r2_is_nothing_where_the_label_never_changes():
    target = torch.full((9, 1), 0.1, dtype=torch.float64)
    assert math.isnan(metrics(ABSOLUTE, torch.randn(9, 1), target)["r2"])


def test_regressions_constants_are_the_mean_and_the_median():
    targets = torch.tensor([[0.0], [1.0], [5.0], [math.nan]])
    assert constant_of(Task("r", "regression", 1), targets[:2], targets[2:]).prediction().tolist() == [2.0]
    assert constant_of(ABSOLUTE, targets[:2], targets[2:]).prediction().tolist() == [1.0]
    assert metrics(NUMBERS, *(example(NUMBERS)[1],) * 2)["r2"] == pytest.approx(1)


def test_multi_label_is_torchmetrics():
    from torchmetrics.classification import MultilabelAveragePrecision, MultilabelF1Score

    prediction, target = example(LABELS, BATCH)
    known, truth = prediction[1:].float().sigmoid(), target[1:].long()
    found = metrics(LABELS, prediction, target)
    assert found["macro_f1"] == pytest.approx(
        100 * float(MultilabelF1Score(4, average="macro")(known, truth)), rel=1e-6
    )
    edges = torch.sigmoid(LOW + WIDTH * torch.arange(BINS, dtype=torch.float64))
    edges[0] = 0  # the last bins hold what lies beyond them
    binned = MultilabelAveragePrecision(4, thresholds=edges)(prediction[1:].float().double().sigmoid(), truth)
    assert found["average_precision"] == pytest.approx(100 * float(binned), rel=1e-6)
    exact = MultilabelAveragePrecision(4)(known, truth)
    assert found["average_precision"] == pytest.approx(100 * float(exact), abs=1)


def test_one_unknown_label_hides_no_other():
    prediction = torch.tensor([[3.0, -3.0], [3.0, 3.0]])
    target = torch.tensor([[1.0, math.nan], [1.0, 1.0]])
    assert metrics(Task("m", "multi-label", 2), prediction, target)["macro_f1"] == 100
    target[1, 0] = 0
    assert metrics(Task("m", "multi-label", 2), prediction, target)["macro_f1"] == pytest.approx(100 * (2 / 3 + 1) / 2)


def test_multi_labels_constant_says_yes_to_what_occurs():
    fit = constant_of(Task("m", "multi-label", 3), torch.tensor([[1.0, 0, math.nan], [0, 0, 1]]))
    assert (fit.prediction() > 0).tolist() == [True, False, True]


def test_ordinal_is_torchmetrics():
    from torchmetrics.classification import MulticlassCohenKappa

    prediction, target = example(LEVELS, BATCH)
    guess = torch.tensor([sum(float(v) > 0 for v in row) for row in prediction])
    found = metrics(LEVELS, prediction, target)
    known = target != VOID
    assert found["mae"] == pytest.approx(float((guess - target)[known].abs().double().mean()))
    kappa = MulticlassCohenKappa(5, weights="quadratic")(guess[known], target[known])
    assert found["quadratic_kappa"] == pytest.approx(float(kappa), abs=1e-6)


def test_ordinals_constant_is_the_median_level():
    targets = torch.tensor([0, 0, 2, 3, 4, VOID])
    fit = constant_of(LEVELS, targets[:3], targets[3:])
    assert (fit.prediction() > 0).sum() == 2
    best = metrics(LEVELS, fit.like(targets), targets)["mae"]
    others = [
        metrics(LEVELS, torch.where(torch.arange(4) < k, 1.0, -1.0).expand(6, 4), targets)["mae"] for k in range(5)
    ]
    assert best == min(others)
    assert (ConstantPredictor(LEVELS).prediction() < 0).all()


BAD = {
    "regression": (torch.tensor([[1.0, math.inf]]), "is infinite"),
    "multi-label": (torch.tensor([[0.0, 0.5]]), "has label 0.5 (1 for yes, 0 for no, or NaN for unknown, is expected)"),
    "ordinal": (torch.tensor([0, 3]), "has level 3 (0 to 2, or -1 for none, is expected)"),
    "classification": (torch.tensor([0, 2]), "has label 2 (0 to 1, or -1 for none, is expected)"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_label_out_of_range_is_named(kind):
    task, (target, said) = Task("t", kind, 2), BAD[kind]
    (fault,) = task.meaning.faults(task, target)
    assert fault.startswith(said)
    assert list(task.meaning.faults(task, target[:0])) == []


@pytest.mark.parametrize("task", SINGLE, ids=lambda t: t.kind)
def test_examples_are_labels(task):
    noise = torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    target = task.meaning.example(task, noise)
    assert target.shape == ((6,) if task.meaning.integers else (6, task.channels))
    assert list(task.meaning.faults(task, target)) == []


def test_answers_in_words():
    def said(task, *values):
        return task.meaning.say(task, torch.tensor([values]))

    assert said(Task("age", "regression", 1, unit="years"), 31.25) == "age: 31.25 years"
    assert said(Task("it", "multi-label", 3, classes=("cat", "dog", "owl")), 1.0, -1.0, 2.0) == "it: cat, owl"
    assert said(Task("it", "multi-label", 2), -1.0, -1.0) == "it: none"
    assert said(Task("stars", "ordinal", 2), 4.0, -1.0) == "stars: level 1"
    assert said(Task("stars", "ordinal", 2, classes=("bad", "fair", "good")), 4.0, 1.0) == "stars: good"
