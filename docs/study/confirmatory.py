"""AdaShare less hard sharing at equal training and tuning, the declared comparisons: python docs/study/confirmatory.py results

Δ in points, paired by seed, with its 95 % t interval; Holm's correction over the three that are declared, of which one
that has not run counts as one that found nothing; and the difference that would have been found with a chance of 80 % at
the strictest of Holm's levels. What is then said of a set, and of the question, is docs/study.md's rule.
"""

import sys
from pathlib import Path

from tabulate import tabulate

from mtlbench.report.analysis.aggregate import Aggregate, compared
from mtlbench.report.analysis.merit import interval
from mtlbench.report.analysis.statistics import ALPHA, Paired, detectable, holm
from mtlbench.report.analysis.trials import named, trials
from mtlbench.report.report import read

DECLARED = {"nyuv2": "A", "pacs": "D", "scenes": "C"}
HEADS = ("cell", "data", "Δ, points [95 % interval]", "seeds", "p, corrected", "found with a chance of 80 %", "so")


def difference(result: Aggregate) -> Paired | None:
    """AdaShare less hard sharing, of the row that trials chose; None where a study has no trials, or no such row."""
    row, shared = named(result).get("adashare"), result.line("shared")
    if "adashare" not in trials(result) or row is None or shared is None:
        return None
    return compared(result, row, shared, result.headline)


def differences(results: Path) -> dict[str, Paired]:
    """By data set; of scenes those with a conflict of 1."""
    known = ((r.study.config["dataset"], difference(r)) for r in read(results).aggregates if _conflict(r) in (None, 1))
    return {data: found for data, found in known if found is not None and data in DECLARED}


def _conflict(result: Aggregate) -> float | None:
    """Of the tasks of scenes, an option of that data set."""
    options: dict[str, float] = result.study.config["data"]
    return options.get("conflict")


def verdict(mean: float, p: float) -> str:
    """What is said of a set."""
    if not p < ALPHA:
        return "no difference was found"
    return "AdaShare beats hard sharing" if mean > 0 else "hard sharing beats AdaShare"


def answer(verdicts: list[str]) -> str:
    """What is said of the question, once all have run."""
    if len(verdicts) < len(DECLARED):
        return "not shown: not all three have run"
    better, worse = (sum(v.startswith(who) for v in verdicts) for who in ("AdaShare", "hard sharing"))
    return "yes" if better > 1 and not worse else "no" if worse > 1 and not better else "not shown"


def table(results: Path) -> str:
    """Markdown: a row for each set that has run, and the answer below."""
    found = differences(results)
    corrected = holm([*(x.p for x in found.values()), *[1.0] * (len(DECLARED) - len(found))])
    rows = []
    for (data, x), p in zip(found.items(), corrected, strict=False):
        d = x.difference
        least = f"{detectable(d.sd, d.n, ALPHA / len(DECLARED)):.1f}"
        rows.append((DECLARED[data], data, interval(d, 1), str(d.n), f"{p:.2g}", least, verdict(d.mean, p)))
    rows.sort()
    text = tabulate(
        rows, HEADS, tablefmt="pipe", disable_numparse=True, colalign=("left",) * 2 + ("right",) * 4 + ("left",)
    )
    return f"{text}\n\nDoes AdaShare beat equally tuned hard sharing at equal training? {answer([r[-1] for r in rows])}"


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
