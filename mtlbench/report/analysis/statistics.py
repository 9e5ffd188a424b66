"""The statistics of the tables: intervals over seeds, paired comparisons, Holm's correction, power, and ranks.

All of them are for few seeds: Student's t, two-sided, at the level ALPHA. See docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

ALPHA = 0.05
POWER = 0.8
NAN = math.nan
SAME = 1e-9  # a spread below this share of the mean is rounding

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Summary:
    """A quantity over seeds: `sd` needs two values, and so does the 95 % t interval of the mean, `low` to `high`."""

    n: int
    mean: float
    sd: float = NAN
    low: float = NAN
    high: float = NAN

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2

    @property
    def spreadless(self) -> bool:
        """Whether two values or more are all the same, but for rounding."""
        return self.sd <= SAME * abs(self.mean)


EMPTY = Summary(0, NAN)


@dataclass(frozen=True)
class Span:
    """A figure with a percentile interval of 95 % around it, and the deviation of the draws it comes from."""

    figure: float
    low: float
    high: float
    sd: float


def summarise(values: Sequence[float] | Floats, least: float = 0.0) -> Summary:
    """Mean, sample deviation (n - 1) and t interval of the finite values; a deviation below `least` is taken for that."""
    data = [x for x in _plain(values) if math.isfinite(x)]  # few values: numpy would take several times as long
    n = len(data)
    if n == 0:
        return EMPTY
    if n == 1:
        return Summary(1, data[0])
    same = data.count(data[0]) == n  # the mean of equal values may differ from them in its last bit
    mean = data[0] if same else math.fsum(data) / n
    sd = max(math.sqrt(math.fsum([(x - mean) ** 2 for x in data]) / (n - 1)), least)
    half = t_quantile(n - 1) * sd / math.sqrt(n)
    return Summary(n, mean, sd, mean - half, mean + half)


def _plain(values: Sequence[float] | Floats) -> list[float]:
    return values.tolist() if isinstance(values, np.ndarray) else [float(x) for x in values]


@cache
def t_quantile(df: int, alpha: float = ALPHA) -> float:
    """The two-sided critical value of Student's t."""
    return float(special.stdtrit(df, 1 - alpha / 2))


@dataclass(frozen=True)
class Paired:
    """Differences a - b of pairs: their summary, the p value of the paired t test, and its correction in the family.

    `detectable` is the smallest true difference that this test finds with a chance of 80 % at this spread, at the level
    that the correction leaves it at its strictest.
    """

    difference: Summary
    p: float = NAN
    corrected: float = NAN
    detectable: float = NAN

    @property
    def real(self) -> bool:
        """Whether the corrected test rejects "no difference"."""
        return self.corrected < ALPHA

    def within(self, corrected: float, level: float) -> Paired:
        """The same test as one of a family: its corrected p, and what it detects at the strictest level left to it."""
        difference = self.difference
        return Paired(difference, self.p, corrected, detectable(difference.sd, difference.n, level))


def paired(a: Sequence[float] | Floats, b: Sequence[float] | Floats, least: float = 0.0) -> Paired:
    """The paired t test of a against b; pairs with a missing value are left out; no p value below two pairs.

    A spread of the differences below `least` is taken for that (`resolution.py`).
    """
    difference = summarise([x - y for x, y in zip(_plain(a), _plain(b), strict=True)], least)
    if difference.n < 2:
        return Paired(difference)
    p = p_value(difference)
    return Paired(difference, p, p, detectable(difference.sd, difference.n))


def p_value(difference: Summary) -> float:
    """Two-sided p of "the mean is 0"; identical pairs give 1.

    Differences that are all the same have no spread that a t test could believe: the sign test's p, 2 / 2^n.
    """
    if difference.spreadless:
        return 1.0 if difference.mean == 0 else 2.0 ** (1 - difference.n)
    t = abs(difference.mean) / (difference.sd / math.sqrt(difference.n))
    return float(2 * special.stdtr(difference.n - 1, -t))


def holm(p: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
    """Holm's step-down correction, by weights where some tests get more of the level (Holm 1979, section 4).

    NaN where there is no test, which does not count in the family.
    """
    values = np.asarray(p, dtype=np.float64)
    share = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=np.float64)
    out = np.full(len(values), NAN)
    tested = np.flatnonzero(np.isfinite(values))
    order = tested[np.argsort(values[tested] / share[tested], kind="stable")]
    left = np.cumsum(share[order][::-1])[::-1]  # of this test and those after it
    steps = left * values[order] / share[order]
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return [float(x) for x in out]


def widened(value: Summary, alpha: float) -> Summary:
    """A summary with the t interval of another level: at ALPHA / k it holds for whichever of k figures is picked."""
    if value.n < 2:
        return value
    half = t_quantile(value.n - 1, alpha) * value.sd / math.sqrt(value.n)
    return Summary(value.n, value.mean, value.sd, value.mean - half, value.mean + half)


@cache
def _effect(n: int, alpha: float, power: float) -> float:
    """The standardised noncentrality at which a two-sided t test of n pairs has this power."""
    critical = t_quantile(n - 1, alpha)
    low, high = 0.0, 1.0
    while _power(high, n, critical) < power:
        high *= 2
    for _ in range(60):  # bisection: the power rises with the noncentrality
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, n, critical) < power else (low, middle)
    return (low + high) / 2


def _power(noncentrality: float, n: int, critical: float) -> float:
    below = float(special.nctdtr(n - 1, noncentrality, critical))
    other = float(special.nctdtr(n - 1, noncentrality, -critical))  # scipy: NaN where it is too small to matter
    return 1 - below + (other if math.isfinite(other) else 0.0)


def detectable(sd: float, n: int, alpha: float = ALPHA, power: float = POWER) -> float:
    """The minimum detectable difference of a paired t test: n pairs whose differences deviate by `sd`."""
    if n < 2 or not math.isfinite(sd):
        return NAN
    return _effect(n, alpha, power) * sd / math.sqrt(n)


@dataclass(frozen=True)
class Ranks:
    """Mean ranks over blocks (1 is best), Friedman's test, and Nemenyi's critical difference of two mean ranks."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    blocks: int
    chi2: float
    p: float
    critical: float


def ranks(names: Sequence[str], scores: Floats) -> Ranks:
    """Ranks of methods from scores (blocks, methods), higher better, ties averaged (Demsar 2006, section 3.2.2)."""
    table = np.apply_along_axis(_rank, 1, -np.asarray(scores, dtype=np.float64))
    n, k = table.shape
    mean = table.mean(0)
    ties = sum(float((c**3 - c).sum()) for c in (np.unique(row, return_counts=True)[1] for row in table))
    spread = n * k * (k + 1) / 12 - ties / (12 * (k - 1))
    chi2 = float(((n * mean - n * (k + 1) / 2) ** 2).sum() / spread) if spread > 0 else 0.0
    return Ranks(tuple(names), tuple(map(float, mean)), n, chi2, float(special.chdtrc(k - 1, chi2)), critical(k, n))


def _rank(values: Floats) -> Floats:
    """Ascending ranks from 1, ties averaged."""
    below = (values[None, :] < values[:, None]).sum(1)
    equal = (values[None, :] == values[:, None]).sum(1)
    return np.asarray(below + (equal + 1) / 2, dtype=np.float64)


@cache
def critical(k: int, n: int, alpha: float = ALPHA) -> float:
    """Nemenyi's critical difference: q sqrt(k (k + 1) / 6 n), q the studentized range quantile over sqrt(2)."""
    low, high = 0.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _range_below(middle, k) < 1 - alpha else (low, middle)
    return low / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))


def _range_below(q: float, k: int) -> float:
    """P(range of k standard normals < q) = k int phi(z) (Phi(z) - Phi(z - q))^(k-1) dz; scipy.stats is slow to import."""
    z = np.linspace(-9.0, 9.0 + q, 4001)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    inner = density * (special.ndtr(z) - special.ndtr(z - q)) ** (k - 1)
    return float(k * inner.sum() * (z[1] - z[0]))
