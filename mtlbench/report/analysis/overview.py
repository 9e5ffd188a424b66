"""All studies at once: what each method gains in each of them, corrected for everything that the page could say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import Aggregate, Claim, Line
from mtlbench.report.analysis.datasets import OverDatasets, over_datasets
from mtlbench.report.analysis.merit import worth
from mtlbench.report.analysis.statistics import ALPHA, Paired


@dataclass(frozen=True)
class Overview:
    """Studies side by side. `tests` holds each method's difference to hard sharing (study and label), corrected over all."""

    results: Sequence[Aggregate]
    labels: Sequence[str]  # methods, the anchors first
    tests: Mapping[tuple[str, str], Paired]
    over: Sequence[OverDatasets]

    def line(self, result: Aggregate, label: str) -> Line | None:
        """A method's figures in a study."""
        return next((x for x in result.lines if x.label == label and x.row.role == "study"), None)

    def real(self, sign: int) -> list[tuple[Aggregate, Line, Paired]]:
        """The differences that survive, of one sign, the largest first."""
        found = []
        for result in self.results:
            for label in self.labels:
                test = self.tests.get((result.study.name, label))
                line = self.line(result, label)
                if test is not None and line is not None and test.real and sign * test.difference.mean > 0:
                    found.append((result, line, test))
        return sorted(found, key=lambda x: -abs(x[2].difference.mean))

    @property
    def ranked(self) -> list[Aggregate]:
        """The studies of more than one seed: of the others nothing is claimed."""
        return [r for r in self.results if len(r.study.seeds) > 1]


def overview(results: Sequence[Aggregate]) -> Overview:
    """The page's own family: every gain over hard sharing in every study, together (Holm)."""
    gains: list[tuple[Aggregate, Claim]] = [(r, c) for r in results for c in r.claims if c.kind == "gain"]
    fixed = statistics.holm([c.test.p for _, c in gains])
    level = ALPHA / max(sum(c.test.p == c.test.p for _, c in gains), 1)
    pairs = zip(gains, fixed, strict=True)
    tests = {(r.study.name, c.line.label): c.test.within(p, level) for (r, c), p in pairs}
    return Overview(results, _labels(results), tests, over_datasets(results))


def _labels(results: Sequence[Aggregate]) -> list[str]:
    """Every method with a figure somewhere, single-task and hard sharing first."""
    order = {"independent": 0, "shared": 1}
    found: dict[str, int] = {}
    for result in results:
        for line in result.lines:
            if line.row.role == "study" and worth(result, line):
                place = order.get(line.row.anchor or "", 2)
                found[line.label] = min(place, found.get(line.label, 2))
    return sorted(found, key=lambda label: (found[label], label))
