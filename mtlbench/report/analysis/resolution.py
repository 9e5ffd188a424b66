"""How finely a study's figures can differ: counts of few test items leave a grid, and equal steps on it are no small spread.

Of two seeds' accuracies on 100 images two methods may differ by exactly 1 in both; a t test takes the spread of nothing
for certainty. No spread is believed below the rounding error of a difference on the grid, h / sqrt(6) (two uniform errors
of h / sqrt(12)), where h is the widest grid that all of the study's figures lie on. Figures that are not counts lie on
none, and nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

FINEST = 1e-4  # of the largest figure: what lies on no wider grid is no count of a few items
ROUNDING = 1e-9  # figures that differ by less than this share of the largest are equal


def grid(series: Iterable[Mapping[int, float]]) -> float:
    """The widest step of which all differences between figures are multiples; 0 where there is none."""
    values = sorted(x for one in series for x in one.values())
    scale = max(map(abs, values), default=0.0)
    step = 0.0
    for a, b in pairwise(values):
        if b - a > ROUNDING * scale:
            step = _common(step, b - a, FINEST * scale / 10)
        if 0.0 < step < FINEST * scale:
            return 0.0
    return step


def _common(a: float, b: float, nothing: float) -> float:
    """Euclid's greatest common divisor of two lengths, where a rest below `nothing` is none."""
    while b > nothing:
        rest = math.fmod(a, b)
        a, b = b, min(rest, b - rest)  # a rest just below the divisor is rounding, too
    return a


def least_spread(steps: Iterable[float]) -> float:
    """The deviation of a mean of differences, each on a grid of one of these steps, that is rounding alone."""
    squares = [step * step / 6 for step in steps]
    return math.sqrt(math.fsum(squares)) / len(squares) if squares else 0.0
