"""All studies at once: what each method gains in each of them, corrected for everything that the page could say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import Aggregate, Claim, Line
from mtlbench.report.analysis.datasets import OverDatasets, over_datasets
from mtlbench.report.analysis.merit import worth
from mtlbench.report.analysis.statistics import ALPHA, Paired
from mtlbench.report.analysis.trials import named


@dataclass(frozen=True)
class Overview:
    """Studies side by side. `tests` holds each row's difference to hard sharing (study and name), corrected over all."""

    results: Sequence[Aggregate]
    names: Sequence[str]  # of the rows, the anchors first; the same in all studies (analysis.trials.named)
    lines: Mapping[str, Mapping[str, Line]]  # of each study, by name
    tests: Mapping[tuple[str, str], Paired]
    over: Sequence[OverDatasets]

    def line(self, result: Aggregate, name: str) -> Line | None:
        """A row's figures in a study."""
        return self.lines[result.study.name].get(name)

    def real(self, sign: int) -> list[tuple[Aggregate, Line, Paired]]:
        """The differences that survive, of one sign, the largest first."""
        found = []
        for result in self.results:
            for name in self.names:
                test = self.tests.get((result.study.name, name))
                line = self.line(result, name)
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
    lines = {r.study.name: named(r) for r in results}
    names = {(study, line.label): name for study, own in lines.items() for name, line in own.items()}
    tests = {
        (r.study.name, names[r.study.name, c.line.label]): c.test.within(p, level)
        for (r, c), p in zip(gains, fixed, strict=True)
    }
    return Overview(results, _names(results, lines), lines, tests, over_datasets(results))


def _names(results: Sequence[Aggregate], lines: Mapping[str, Mapping[str, Line]]) -> list[str]:
    """Every row with a figure somewhere, single-task and hard sharing first."""
    order = {"independent": 0, "shared": 1}
    found: dict[str, int] = {}
    for result in results:
        for name, line in lines[result.study.name].items():
            if worth(result, line):
                place = order.get(line.row.anchor or "", 2)
                found[name] = min(place, found.get(name, 2))
    return sorted(found, key=lambda name: (found[name], name))
