"""What holds over a few data sets: the effect with its interval, the interquartile mean, the probability of improvement.

Data sets are few and differ more than seeds do, so both are resampled: data sets with replacement, and inside each its
seeds. Interquartile mean and probability of improvement as in Agarwal et al. (NeurIPS 2021; the package rliable).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, Line, Series
from mtlbench.report.analysis.claims import CONTROLS, controls
from mtlbench.report.analysis.ranking import BLOCKS, families
from mtlbench.report.analysis.statistics import ALPHA, Floats, Paired, Span
from mtlbench.report.analysis.trials import named

FEWEST = 3  # data sets; below it there is nothing to resample, from BLOCKS on ranks are drawn
DRAWS = 2000


@dataclass(frozen=True)
class Effect:
    """A method over the data sets: its gain over hard sharing in Delta, with `test` over data sets' mean gains."""

    label: str
    gain: Span
    middle: Span  # interquartile mean of Delta
    better: Span  # probability of improvement over hard sharing
    test: Paired


@dataclass(frozen=True)
class OverDatasets:
    """Effects over the data sets of studies that agree on protocol; `left_out` lack a figure in one of them."""

    name: str
    title: str
    datasets: tuple[str, ...]
    effects: tuple[Effect, ...]
    left_out: tuple[str, ...]
    renamed: bool  # whether a row has a method's name here that it does not have in its study


def over_datasets(results: Iterable[Aggregate]) -> list[OverDatasets]:
    """One for each protocol that was run on 3 to 9 data sets with at least two seeds and hard sharing."""
    found = []
    for family in families(results):
        if FEWEST <= len(family.studies) < BLOCKS:
            found.append(_over(family.name("effects"), family.title("Effects"), family.studies))
    return [x for x in found if x.effects]


def _over(name: str, title: str, family: Mapping[str, Aggregate]) -> OverDatasets:
    studies = [r for _, r in sorted(family.items())]
    lines = [_lines(r) for r in studies]
    shared = [r.line("shared") for r in studies]
    common = set.intersection(*(set(x) for x in lines))
    anchors = {name for own, x in zip(lines, shared, strict=True) for name, line in own.items() if line is x}
    effects = []
    if len(anchors) == 1:
        own = sorted(common - anchors)
        effects = [e for n in own if (e := _effect(n, [x[n] for x in lines], studies)) is not None]
    left_out = sorted({n for x in lines for n in x} - common)
    renamed = any(n != line.label for x in lines for n, line in x.items())
    return OverDatasets(name, title, tuple(sorted(family)), tuple(_corrected(effects)), tuple(left_out), renamed)


def _lines(result: Aggregate) -> dict[str, Line]:
    return {name: x for name, x in named(result).items() if len(x.series(DELTA_PRIMARY)) > 1}


def _effect(label: str, lines: Sequence[Line], studies: Sequence[Aggregate]) -> Effect | None:
    """A method against hard sharing, and against its controls where every data set has them: the least of these."""
    baselines: dict[str, list[Line | None]] = {"": [r.line("shared") for r in studies]}
    for kind in CONTROLS:
        baselines[kind] = [controls(r, x).get(kind) for r, x in zip(studies, lines, strict=True)]
    pairs = {kind: [_pair(a, b) for a, b in zip(lines, found, strict=True)] for kind, found in baselines.items()}
    complete = {kind: p for kind, p in pairs.items() if all(len(a) > 1 for a, _ in p)}
    if "" not in complete:
        return None
    tests = {kind: _test(p) for kind, p in complete.items()}
    least = max(tests, key=lambda kind: tests[kind].p)
    agree = len({t.difference.mean > 0 for t in tests.values()}) == 1
    test = tests[least] if agree else replace(tests[least], p=1.0)
    gain, middle, _ = resampled(complete[least])
    return Effect(label, gain, middle, resampled(complete[""])[2], test)


Pairs = list[tuple[Floats, Floats]]  # a data set each: a method's figures and the baseline's of the same seeds


def _pair(line: Line, other: Line | None) -> tuple[Floats, Floats]:
    a: Series = line.series(DELTA_PRIMARY)
    b: Series = other.series(DELTA_PRIMARY) if other is not None else {}
    seeds = sorted(a.keys() & b.keys())
    return np.array([a[s] for s in seeds]), np.array([b[s] for s in seeds])


def _test(pairs: Pairs) -> Paired:
    """Student's t over the data sets' mean gains: for few data sets the only test that keeps its level."""
    return statistics.paired([float(a.mean()) for a, _ in pairs], [float(b.mean()) for _, b in pairs])


def _corrected(effects: Sequence[Effect]) -> list[Effect]:
    fixed = statistics.holm([e.test.p for e in effects])
    level = ALPHA / max(len(effects), 1)
    return [replace(e, test=e.test.within(p, level)) for e, p in zip(effects, fixed, strict=True)]


def resampled(pairs: Pairs) -> list[Span]:
    """Mean gain, interquartile mean and probability of improvement, each with its percentile interval over draws of data
    sets, and inside each of seeds (the same for both)."""
    counts = np.array([len(a) for a, _ in pairs])
    most = int(counts.max())
    both = np.full((2, len(pairs), most), np.nan)
    for d, pair in enumerate(pairs):
        both[:, d, : counts[d]] = pair
    generator = np.random.default_rng(20191112)
    drawn = generator.integers(len(pairs), size=(DRAWS, len(pairs)))
    seeds = (generator.random((DRAWS, len(pairs), most)) * counts[drawn][..., None]).astype(int)
    values = both[:, drawn[..., None], seeds]
    values[:, np.arange(most) >= counts[drawn][..., None]] = np.nan  # a data set has no more draws than seeds
    whole, found = figures(both[:, None])[:, 0], figures(values)
    low, high = np.quantile(found, [ALPHA / 2, 1 - ALPHA / 2], axis=1)
    spread = found.std(axis=1, ddof=1)
    return [Span(*map(float, parts)) for parts in zip(whole, low, high, spread, strict=True)]


def figures(values: Floats) -> Floats:
    """The three figures (3, draws) of a method and its baseline, `values` (2, draws, data sets, seeds); NaN is no seed."""
    a, b = values
    gain = np.nanmean(a - b, axis=-1).mean(-1)
    above = np.sign(a[..., :, None] - b[..., None, :])
    return np.stack(
        [gain, interquartile_mean(a.reshape(len(a), -1)), (np.nanmean(above, axis=(-1, -2)) + 1).mean(-1) / 2]
    )


def interquartile_mean(values: Floats) -> Floats:
    """The mean of what is left of each row when a quarter of its runs is cut at either end (whole runs, as scipy's
    trim_mean, over all data sets together)."""
    ordered = np.sort(values, axis=-1)  # NaN last
    count = np.isfinite(values).sum(-1, keepdims=True)
    cut, place = count // 4, np.arange(values.shape[-1])
    return np.asarray(np.nanmean(np.where((place >= cut) & (place < count - cut), ordered, np.nan), axis=-1))
