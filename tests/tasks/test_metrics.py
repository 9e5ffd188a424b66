"""Metrics against torchmetrics and plain loops, and that sums do not depend on how a split is cut into batches."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mtlbench.tasks import VOID, Task, figures, skill
from mtlbench.tasks.kinds.normals import BIN
from mtlbench.tasks.metrics import ConstantPredictor, statistics
from mtlbench.tasks.reductions import Quantile, reduce
from tests.tasks.test_losses import ALL, CLASSES, DEPTH, EDGES, NORMALS, SEGMENTATION, example


def metrics(task, prediction, target):
    rows = statistics(task, prediction, target)
    return figures(task.metrics, {k: v.sum(0).numpy() for k, v in rows.items()})


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.kind)
def test_statistics_add_up_whatever_the_batches(task):
    prediction, target = example(task, batch=6)
    whole = statistics(task, prediction, target)
    cut = [statistics(task, prediction[i:j], target[i:j]) for i, j in ((0, 1), (1, 4), (4, 6))]
    for key, rows in whole.items():
        torch.testing.assert_close(rows, torch.cat([c[key] for c in cut]))


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.kind)
def test_every_declared_metric_is_computed(task):
    assert list(metrics(task, *example(task))) == [m.name for m in task.metrics]
    assert [m.primary for m in task.metrics].count(True) == 1


def test_segmentation_is_torchmetrics():
    from torchmetrics.classification import MulticlassAccuracy, MulticlassJaccardIndex

    prediction, target = example(SEGMENTATION, batch=4, size=(16, 16))
    found = metrics(SEGMENTATION, prediction, target)
    iou = MulticlassJaccardIndex(5, average="macro", ignore_index=VOID)(prediction.argmax(1), target)
    accuracy = MulticlassAccuracy(5, average="micro", ignore_index=VOID)(prediction.argmax(1), target)
    assert found["miou"] == pytest.approx(100 * float(iou), rel=1e-6)
    assert found["pixel_accuracy"] == pytest.approx(100 * float(accuracy), rel=1e-6)


def test_miou_counts_a_class_that_is_never_hit_and_leaves_out_one_that_is_not_there():
    target = torch.tensor([[[0, 0, 1, VOID]]])
    guess = torch.tensor([[[0, 2, 2, 1]]])  # class 1 is there but never hit; class 2 is only predicted
    prediction = F.one_hot(guess, 5).permute(0, 3, 1, 2).double()
    # class 0: 1 hit, 2 true, 1 predicted -> 1/2; class 1: 0 of 1; the void pixel counts nowhere
    assert metrics(SEGMENTATION, prediction, target)["miou"] == pytest.approx(25.0)


def test_normals_by_hand():
    angles = torch.tensor([0.0, 10.0, 20.0, 40.0, 100.0], dtype=torch.float64)
    target = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64).view(1, 3, 1, 1).expand(1, 3, 1, 6).clone()
    target[..., 5] = math.nan
    radians = torch.deg2rad(torch.cat([angles, torch.zeros(1)]))
    prediction = torch.stack([radians.sin(), torch.zeros(6), -radians.cos()]).view(1, 3, 1, 6) * 7
    found = metrics(NORMALS, prediction, target)
    assert found["mean_angle"] == pytest.approx(34.0, abs=1e-3)
    assert found["median_angle"] == pytest.approx(20.0, abs=BIN)
    assert [found[f"within_{a}"] for a in ("11.25", "22.5", "30")] == pytest.approx([40.0, 60.0, 60.0])


def test_median_of_many_angles_is_numpys():
    angles = np.random.default_rng(0).gamma(2.0, 9.0, 20001).clip(0, 179.9)
    histogram = np.bincount((angles / BIN).astype(int), minlength=3600).astype(float)
    median = float(reduce(Quantile("angles", BIN), {"angles": histogram}))
    assert median == pytest.approx(float(np.median(angles)), abs=BIN)


def test_depth_by_hand_errors_are_of_the_raw_prediction():
    target = torch.tensor([1.0, 2.0, 4.0, math.nan], dtype=torch.float64).view(1, 1, 1, 4)
    prediction = torch.tensor([1.2, 3.0, -5.0, 9.0], dtype=torch.float64).view(1, 1, 1, 4)
    found = metrics(DEPTH, prediction, target)
    assert found["abs_error"] == pytest.approx((0.2 + 1.0 + 9.0) / 3)
    assert found["rel_error"] == pytest.approx((0.2 + 0.5 + 9 / 4) / 3, rel=1e-6)
    assert found["rmse"] == pytest.approx(math.sqrt((0.2**2 + 1.0**2 + 9.0**2) / 3))
    assert found["delta_1.25"] == pytest.approx(100 / 3)
    assert found["delta_1.25^2"] == pytest.approx(200 / 3)  # 3/2 = 1.5 < 1.5625


def test_a_negative_prediction_of_a_negative_label_has_an_error():
    label, guess = torch.full((1, 1, 1, 1), -1.0), torch.full((1, 1, 1, 1), -2.5)
    assert metrics(DEPTH, guess, label)["abs_error"] == pytest.approx(1.5)


def test_depth_is_torchmetrics():
    from torchmetrics.regression import MeanAbsoluteError, MeanSquaredError

    prediction, target = example(DEPTH, batch=5)
    known = torch.isfinite(target)
    found = metrics(DEPTH, prediction, target)
    expected = MeanAbsoluteError()(prediction[known].double(), target[known].double())
    assert found["abs_error"] == pytest.approx(float(expected))
    squared = MeanSquaredError(squared=False)(prediction[known].double(), target[known].double())
    assert found["rmse"] == pytest.approx(float(squared))


def test_classification_and_error():
    prediction, target = example(CLASSES, batch=9)
    known = target != VOID
    hits = (prediction.argmax(1) == target)[known].double().mean()
    assert metrics(CLASSES, prediction, target)["accuracy"] == pytest.approx(100 * float(hits))
    prediction, target = example(EDGES)
    assert metrics(EDGES, prediction, target)["error"] == pytest.approx(float((prediction - target).abs().nanmean()))


@pytest.mark.parametrize("task", ALL, ids=lambda t: t.kind)
def test_nothing_labelled_gives_nan_not_zero(task):
    prediction, target = example(task)
    target = torch.full_like(target, VOID if target.dtype == torch.long else math.nan)
    assert all(math.isnan(v) for v in metrics(task, prediction, target).values())


def constant_of(task, *targets):
    fit = ConstantPredictor(task)
    for target in targets:
        fit.update(target)
    return fit


def test_constant_predictors():
    _, depth = example(DEPTH, batch=4)
    fit = constant_of(DEPTH, depth[:1], depth[1:])
    assert float(fit.prediction()) == pytest.approx(float(depth[torch.isfinite(depth)].median()))
    _, normals = example(NORMALS)
    mean = normals.nanmean((0, 2, 3))
    torch.testing.assert_close(constant_of(NORMALS, normals).prediction(), F.normalize(mean, dim=0).float())
    _, classes = example(SEGMENTATION)
    most = classes[classes != VOID].bincount().argmax()
    fit = constant_of(SEGMENTATION, classes)
    assert (fit.like(classes).argmax(1) == most).all()
    assert fit.like(classes).shape == (3, 5, 6, 8)


def test_no_constant_beats_the_fitted_one():
    _, depth = example(DEPTH, batch=4)
    best = metrics(DEPTH, constant_of(DEPTH, depth).like(depth), depth)["abs_error"]
    others = [metrics(DEPTH, torch.full_like(depth, c), depth)["abs_error"] for c in torch.linspace(0.01, 2, 20)]
    fitted = float(constant_of(DEPTH, depth).prediction())
    if fitted > 0.01:  # below it the metric's clamp moves every guess
        assert best <= min(others) + 1e-9
    assert np.isfinite(best)


def test_skill():
    miou, angle = SEGMENTATION.primary, NORMALS.primary
    assert skill(angle, 20.0, 40.0) == pytest.approx(0.5)
    assert skill(angle, 50.0, 40.0) == pytest.approx(-0.25)
    assert skill(miou, 40.0, 20.0) == pytest.approx(0.25)  # errors 60 and 80
    assert skill(miou, 20.0, 20.0) == 0
    for value in (0.0, 0.5):  # the constant predictor is without error: nothing to learn, whatever the value
        assert math.isnan(skill(Task("d", "depth", 1).primary, value, 0.0))
    assert math.isnan(skill(miou, 100.0, 100.0))
