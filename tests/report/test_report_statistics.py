"""Every statistic against scipy, a published value, or a simulation of what it promises."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mtlbench.report.analysis import statistics as ours

VALUES = st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=2, max_size=12)


@given(VALUES)
def test_interval_is_students(values: list[float]) -> None:
    found = ours.summarise(values)
    assert found.n == len(values)
    assert found.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert found.sd == pytest.approx(np.std(values, ddof=1), abs=1e-9)
    if found.sd > 1e-9:
        low, high = stats.t.interval(0.95, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-6), pytest.approx(high, abs=1e-6))


def test_a_worked_interval() -> None:
    """Seeds 30, 31, 35: mean 32, s = sqrt(7), half width 4.302653 * sqrt(7 / 3)."""
    found = ours.summarise([30, 31, 35])
    assert found.mean == 32
    assert found.sd == pytest.approx(math.sqrt(7))
    assert found.half == pytest.approx(4.302653 * math.sqrt(7 / 3), rel=1e-6)


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    one = ours.summarise([3.0])
    assert one.mean == 3.0
    assert math.isnan(one.low)
    assert math.isnan(one.sd)
    assert ours.summarise([]).n == 0
    assert ours.summarise([math.nan, 2.0, math.inf]).n == 1


def test_equal_values_deviate_by_exactly_nothing() -> None:
    assert ours.summarise([0.1] * 3).sd == 0.0


@given(VALUES, st.integers(0, 2**31))
def test_paired_test_is_scipys(values: list[float], seed: int) -> None:
    other = [v + x for v, x in zip(values, np.random.default_rng(seed).normal(0.3, 1, len(values)), strict=True)]
    found = ours.paired(values, other)
    assert found.p == pytest.approx(stats.ttest_rel(values, other).pvalue, abs=1e-9)


def test_identical_pairs_differ_by_nothing() -> None:
    found = ours.paired([1.0, 2.0], [1.0, 2.0])
    assert (found.difference.mean, found.p, found.real) == (0.0, 1.0, False)


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_equal_differences_have_the_sign_tests_p(seeds: int) -> None:
    """They have no spread for a t test; .1 + .2 is not quite .3, which is no spread either."""
    values = [0.1 * k for k in range(seeds)]
    found = ours.paired([v + 0.2 for v in values], values)
    assert found.p == pytest.approx(stats.binomtest(0, seeds).pvalue)
    assert ours.paired([v + 0.2 for v in values], values, least=0.1).difference.sd == 0.1


def test_pairs_with_a_missing_half_are_left_out() -> None:
    assert ours.paired([1.0, math.nan, 3.0], [0.0, 1.0, 1.0]).difference.n == 2
    assert math.isnan(ours.paired([1.0], [0.0]).p)


def test_holm_by_hand() -> None:
    """p .01 .04 .03 .005 of four: 4x.005, 3x.01, 2x.03, then .04 may not fall below .06."""
    assert ours.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_holm_leaves_out_what_was_not_tested_and_stops_at_one() -> None:
    found = ours.holm([0.02, math.nan, 0.9])
    assert found[0] == pytest.approx(0.04)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(0.9)
    assert ours.holm([0.8, 0.7]) == [1.0, 1.0]
    assert ours.holm([]) == []


def test_holm_keeps_the_error_of_the_family() -> None:
    """Ten true null hypotheses: at least one false alarm in at most 5 % of families."""
    rng = np.random.default_rng(0)
    alarms = sum(min(ours.holm(rng.random(10).tolist())) < 0.05 for _ in range(4000)) / 4000
    assert 0.04 < alarms < 0.06


@pytest.mark.parametrize("n", [2, 3, 5, 10, 30])
def test_detectable_difference_has_its_power(n: int) -> None:
    """The power at that difference, by scipy's noncentral t, is 80 %."""
    difference = ours.detectable(1.7, n)
    noncentrality = difference / (1.7 / math.sqrt(n))
    critical = stats.t.ppf(0.975, n - 1)
    other = np.nan_to_num(stats.nct.cdf(-critical, n - 1, noncentrality))
    assert stats.nct.sf(critical, n - 1, noncentrality) + other == pytest.approx(0.8, abs=1e-6)


@pytest.mark.parametrize("n", [2, 4])
def test_detectable_difference_is_detected_four_times_in_five(n: int) -> None:
    """By simulation: differences around that figure are found in 80 % of studies."""
    data = np.random.default_rng(n).normal(ours.detectable(1.0, n), 1.0, (6000, n))
    found = np.mean([ours.p_value(ours.summarise(row)) < 0.05 for row in data])
    assert abs(found - 0.8) < 4 * math.sqrt(0.8 * 0.2 / 6000)


def test_detectable_difference_needs_two() -> None:
    assert math.isnan(ours.detectable(1.0, 1))


def test_friedman_is_scipys_ties_and_all() -> None:
    rng = np.random.default_rng(3)
    for scores in (rng.normal(size=(12, 5)), rng.integers(0, 4, (12, 5)).astype(float)):
        found = ours.ranks([str(i) for i in range(5)], scores)
        expected = stats.friedmanchisquare(*scores.T)
        assert found.chi2 == pytest.approx(expected.statistic)
        assert found.p == pytest.approx(expected.pvalue)
        assert found.mean == pytest.approx(stats.rankdata(-scores, axis=1).mean(0))


def test_critical_difference_is_demsars() -> None:
    """Demsar 2006, section 3.2.2: q(.05, 4) = 2.569, so 4 methods on 14 data sets differ by 1.25."""
    assert ours.critical(4, 14) == pytest.approx(1.25, abs=0.005)
    for k in (2, 3, 7, 20):
        q = stats.studentized_range.ppf(0.95, k, np.inf) / math.sqrt(2)
        assert ours.critical(k, 1) == pytest.approx(q * math.sqrt(k * (k + 1) / 6), rel=1e-5)
    assert ours.critical(10, 6) * math.sqrt(6 * 6 / (10 * 11)) == pytest.approx(3.164, abs=0.001)


@pytest.mark.parametrize("n", [3, 5, 10])
def test_the_interval_covers(n: int) -> None:
    """Gaussian seeds: 95 % within four standard errors of a simulation of 8,000 studies."""
    data = np.random.default_rng(n).normal(30.0, 0.5, (8000, n))
    inside = np.mean([(s := ours.summarise(row)).low <= 30.0 <= s.high for row in data])
    assert abs(inside - 0.95) < 4 * math.sqrt(0.95 * 0.05 / 8000)


@pytest.mark.parametrize(("n", "expected"), [(3, 0.879), (5, 0.865), (10, 0.876)])
def test_coverage_of_skewed_seeds_is_what_the_page_says(n: int, expected: float) -> None:
    """Log-normal seeds of sigma .8 (skewness 3.7): docs/statistics.md gives these shares."""
    data = np.exp(np.random.default_rng(n).normal(0, 0.8, (8000, n)))
    inside = np.mean([(s := ours.summarise(row)).low <= math.exp(0.32) <= s.high for row in data])
    assert inside == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("n", [3, 5])
def test_the_paired_test_keeps_its_level(n: int) -> None:
    """Two equal methods that share their seeds' noise are told apart in 5 % of studies."""
    rng = np.random.default_rng(n)
    shared = rng.normal(0, 2, (5000, n))
    a, b = shared + rng.normal(0, 0.3, (5000, n)), shared + rng.normal(0, 0.3, (5000, n))
    alarms = np.mean([ours.paired(x, y).p < 0.05 for x, y in zip(a, b, strict=True)])
    assert abs(alarms - 0.05) < 4 * math.sqrt(0.05 * 0.95 / 5000)


def test_ranks_of_ties_are_averaged() -> None:
    found = ours.ranks(["a", "b", "c"], np.array([[1.0, 1.0, 0.0], [2.0, 1.0, 0.0]]))
    assert found.mean == (1.25, 1.75, 3.0)


def test_power_grows_with_seeds() -> None:
    found = [ours.detectable(1.0, n) for n in (2, 3, 5, 10, 20)]
    assert all(a > b for a, b in itertools.pairwise(found))
