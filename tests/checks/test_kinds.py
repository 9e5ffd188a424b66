"""The battery of kinds: everything registered passes it, and every check is failed by something deliberately broken."""

from dataclasses import replace

import pytest
import torch

from mtlbench import checks, plugins
from mtlbench.checks import kind_battery
from mtlbench.tasks import Metric
from mtlbench.tasks.kinds import Median
from mtlbench.tasks.kinds.depth import Depth
from mtlbench.tasks.kinds.normals import Normals
from mtlbench.tasks.kinds.regression import Regression
from mtlbench.tasks.reductions import Mean


def failures(findings):
    return {f.name: f.detail for f in findings if not f.ok}


@pytest.mark.parametrize("name", plugins.names("kinds"))
def test_registered_kinds_keep_the_contract(name):
    findings = kind_battery(plugins.load("kinds", name))
    assert failures(findings) == {}
    assert tuple(f.name for f in findings) == checks.KIND_CHECKS


class TwoOfAName(Regression):
    name = "two-of-a-name"
    metrics = (*Regression.metrics, replace(Regression.metrics[1], unit="%"))


class UnknownView(Regression):
    name = "unknown-view"
    view = "classes"


class NoSuchSum(Regression):
    name = "no-such-sum"
    metrics = (Metric("gone", "", False, Mean("gone"), primary=True),)


class OutOfRange(Regression):
    name = "out-of-range"

    def example(self, task, noise):
        return super().example(task, noise) * torch.inf


class SeesNoGap(Regression):
    name = "sees-no-gap"

    def labelled(self, target):
        return torch.ones(len(target), dtype=torch.bool)


class LossOfNothing(Regression):
    name = "loss-of-nothing"

    def loss(self, task, prediction, target, mask):
        return super().loss(task, prediction, target, mask) + 1


class BatchwiseSums(Regression):
    name = "batchwise-sums"

    def statistics(self, task, prediction, target, mask):
        sums = super().statistics(task, prediction, target, mask)
        return {**sums, "square": sums["square"].mean(0).expand_as(sums["square"])}


class NumberOfNothing(Regression):
    name = "number-of-nothing"

    def statistics(self, task, prediction, target, mask):
        sums = super().statistics(task, prediction, target, mask)
        return {**sums, "count": sums["count"] + 1}


class NarrowMedian(Median):
    def prediction(self):
        return super().prediction()[:1]


class NarrowConstant(Regression):
    name = "narrow-constant"
    constant = NarrowMedian


class GrowingDepth(Depth):
    name = "growing-depth"

    def moved(self, target, zoom, mirror, lengths):
        return target + 1


class UnturnedNormals(Normals):
    name = "unturned-normals"

    def moved(self, target, zoom, mirror, lengths):
        return target * zoom


class TwoAnswers(Regression):
    name = "two-answers"

    def answer(self, task, prediction):
        return prediction.argmax(1).numpy()


class SaysNothing(Regression):
    name = "says-nothing"

    def say(self, task, prediction):
        return ""


BROKEN = {
    TwoOfAName: ("declares", "metrics are rmse, r2, r2 (each name once is expected)"),
    UnknownView: ("declares", "view is 'classes' (allowed: class, level, labels, value, or '' for none)"),
    OutOfRange: ("labels", "the example is infinite"),
    SeesNoGap: ("labels", "labelled does not tell an image without a label from one with"),
    LossOfNothing: ("losses", "an image without a label has the loss"),
    NoSuchSum: ("statistics", "metric 'gone' needs a statistic that is not there"),
    BatchwiseSums: ("statistics", "statistic 'square' of an image differs when it comes alone"),
    NumberOfNothing: ("statistics", "metric 'rmse' is 0 without any label (NaN is expected)"),
    NarrowConstant: ("constant", "the constant predictor is (1,) ((3,), finite, is expected)"),
    GrowingDepth: ("moves", "a label changes though nothing is zoomed or mirrored"),
    UnturnedNormals: ("moves", "a zoomed and mirrored label has a vector of length 1.3"),
    TwoAnswers: ("answers", "an answer is (6,) ((6, 3) is expected for the view 'value')"),
    SaysNothing: ("answers", "an answer is said as ''"),
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda c: c.__name__)
def test_a_broken_kind_fails_its_check_and_is_told_why(broken):
    check, said = BROKEN[broken]
    assert said in failures(kind_battery(broken))[check]


def test_every_check_is_failed_by_something():
    assert {check for check, _ in BROKEN.values()} == set(checks.KIND_CHECKS)
