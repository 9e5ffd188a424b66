"""Δ of every row less that of every other, paired by seed, in points: python docs/study/differences.py results

Each with its 95 % t interval, the p of its paired t test (of that pair alone: nothing is corrected here, the report's own
tests are), and the difference that would have been found with a chance of 80 %.
"""

import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

from mtlbench.report.analysis.aggregate import Aggregate, compared
from mtlbench.report.analysis.merit import interval, ranked
from mtlbench.report.analysis.statistics import Paired
from mtlbench.report.report import read


def differences(result: Aggregate) -> Iterator[tuple[str, str, Paired]]:
    """Every pair of rows of a study with two seeds in common, the better one first."""
    for a, b in combinations(ranked(result), 2):
        found = compared(result, a, b, result.headline)
        if found.difference.n > 1:
            yield a.label, b.label, found


def main(results: Path) -> None:
    """Print them, study by study."""
    for result in read(results).aggregates:
        print(result.study.name)
        for a, b, found in differences(result):
            told = f"p {found.p:.2g}, detectable {found.detectable:.1f}, {found.difference.n} seeds"
            print(f"  {a} less {b}: {interval(found.difference, 1)}, {told}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
