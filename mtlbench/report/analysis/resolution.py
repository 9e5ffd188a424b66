"""How finely a study's figures can differ: counts of few test items leave a grid, and equal steps on it are no small spread.

Of ten seeds' accuracies on 100 images two methods may differ by exactly 1 in two seeds; a t test takes the spread of
nothing for certainty. No spread is believed below the rounding error of a difference on the grid, h / sqrt(6) (two
uniform errors of h / sqrt(12)), where h is the least step between any two figures of the study. Where figures are not
counts that step is tiny, and nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise

ROUNDING = 1e-9  # figures that differ by less than this share of the largest are equal


def least_step(series: Iterable[Mapping[int, float]]) -> float:
    """The least difference between two different figures; 0 where there are none."""
    values = sorted(x for one in series for x in one.values())
    same = ROUNDING * max(map(abs, values), default=0.0)
    return min((b - a for a, b in pairwise(values) if b - a > same), default=0.0)


def least_spread(steps: Iterable[float]) -> float:
    """The deviation of a mean of differences, each on a grid of one of these steps, that is rounding alone."""
    squares = [step * step / 6 for step in steps]
    return math.sqrt(math.fsum(squares)) / len(squares) if squares else 0.0
