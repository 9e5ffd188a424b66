"""Over a few data sets: the figures against naive loops and scipy, the level of the test by simulation, who takes part."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import stats

from mtlbench.report.analysis import datasets, statistics
from mtlbench.report.analysis.datasets import figures, interquartile_mean, over_datasets, resampled
from mtlbench.report.report import read

RNG = np.random.default_rng(0)
PAIRS = [(RNG.normal(3, 1, n), np.round(RNG.normal(2, 1, n), 1)) for n in (3, 5, 4)]


def probability(a: list[float], b: list[float]) -> float:
    """Agarwal et al. 2021, section 4.3: the share of pairs of runs in which a is above b, ties half."""
    return sum((x > y) + 0.5 * (x == y) for x in a for y in b) / (len(a) * len(b))


def test_figures_are_rliables_by_naive_loops() -> None:
    """All runs of all data sets in one trimmed mean; the probability of improvement averaged over data sets."""
    gain, middle, better = resampled(PAIRS)
    assert gain.figure == pytest.approx(sum((a - b).mean() for a, b in PAIRS) / 3)
    assert middle.figure == pytest.approx(stats.trim_mean(np.concatenate([a for a, _ in PAIRS]), 0.25))
    assert better.figure == pytest.approx(sum(probability(list(a), list(b)) for a, b in PAIRS) / 3)
    for span in (gain, middle, better):
        assert span.low < span.figure < span.high


@pytest.mark.parametrize("n", [1, 3, 4, 7, 8, 11])
def test_interquartile_mean_is_scipys_and_ignores_what_is_missing(n: int) -> None:
    values = np.random.default_rng(n).normal(size=n)
    padded = np.concatenate([values, [np.nan] * 3])
    assert interquartile_mean(padded[None])[0] == pytest.approx(stats.trim_mean(values, 0.25))


def test_the_interval_is_that_of_a_naive_bootstrap_over_data_sets_and_seeds() -> None:
    """Its deviation, by plain loops with other draws: within 8 %."""
    rng = np.random.default_rng(7)
    means, middles = [], []
    for _ in range(1500):
        drawn = [PAIRS[i] for i in rng.integers(3, size=3)]
        picked = [(a[s], b[s]) for a, b in drawn for s in [rng.integers(len(a), size=len(a))]]
        means.append(np.mean([(a - b).mean() for a, b in picked]))
        middles.append(stats.trim_mean(np.concatenate([a for a, _ in picked]), 0.25))
    gain, middle, _ = resampled(PAIRS)
    assert gain.sd == pytest.approx(np.std(means), rel=0.08)
    assert middle.sd == pytest.approx(np.std(middles), rel=0.08)
    assert (gain.low, gain.high) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.15)


def test_ties_count_half() -> None:
    same = np.array([1.0, 2.0])
    assert figures(np.array([same, same])[:, None, None, :])[2, 0] == 0.5


def written(synthetic: ModuleType, root: Path, sets: int, methods: tuple[str, ...], seeds: int = 2) -> None:
    for d in range(sets):
        for method in methods:
            for seed in range(seeds):
                synthetic.run(root, method, seed, f"data-{d}", per_image=False, curve=1)


def test_three_to_nine_data_sets_of_one_protocol(synthetic: ModuleType, tmp_path: Path) -> None:
    methods = ("single-task", "hard-sharing", "nddr", "adashare")
    written(synthetic, tmp_path, 2, methods)
    assert over_datasets(read(tmp_path).aggregates) == []
    written(synthetic, tmp_path, 4, methods[:3])
    (found,) = over_datasets(read(tmp_path).aggregates)
    assert found.datasets == ("data-0", "data-1", "data-2", "data-3")
    assert [e.label for e in found.effects] == ["nddr", "single-task"]
    assert found.left_out == ("adashare",)
    nddr = found.effects[0]
    lines = [{x.label: x for x in r.lines} for r in read(tmp_path).aggregates]
    gains = [[x["nddr"].delta_primary["all tasks"][s] - x["hard-sharing"].delta_primary["all tasks"][s] for s in (0, 1)]
             for x in lines]  # fmt: skip
    assert nddr.gain.figure == pytest.approx(np.mean(gains))
    assert nddr.test.p == pytest.approx(stats.ttest_1samp(np.mean(gains, axis=1), 0).pvalue)
    p = [e.test.p for e in found.effects]
    assert [e.test.corrected for e in found.effects] == pytest.approx(statistics.holm(p))


def test_one_seed_has_no_effect_over_data_sets(synthetic: ModuleType, tmp_path: Path) -> None:
    written(synthetic, tmp_path, 3, ("single-task", "hard-sharing", "nddr"), seeds=1)
    assert over_datasets(read(tmp_path).aggregates) == []


def test_equal_methods_over_few_data_sets_are_told_apart_in_five_of_a_hundred() -> None:
    """Four data sets with effects of their own around zero: the percentile interval alone misses zero in 15 % and more."""
    rng = np.random.default_rng(3)
    tested = outside = 0
    for _ in range(400):
        effects = rng.normal(0, 2, 4)
        pairs = [(e + rng.normal(0, 1, 3), rng.normal(0, 1, 3)) for e in effects]
        tested += datasets._test(pairs).p < 0.05
        draws = np.array([np.mean(a - b) for a, b in pairs])[rng.integers(4, size=(200, 4))].mean(1)
        low, high = np.quantile(draws, [0.025, 0.975])
        outside += not low <= 0 <= high
    assert tested / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)
    assert outside > tested
