"""Cell F: what choosing on test is worth: python docs/study/choosing.py results/choosing

Of the same training, by the rule that chose among eight drawn policies: each task's primary metric on test, and by how
many percent they are better than those of the choice on validation with the same seed, the mean over tasks (as Δ, but over
that choice), with its 95 % t interval and the difference that would have been found with a chance of 80 %. "last" is the
last policy drawn, so none was chosen.
"""

import sys
from pathlib import Path

from tabulate import tabulate

from mtlbench.report.analysis.aggregate import Line, Series, delta_under, mean, primary
from mtlbench.report.analysis.merit import interval
from mtlbench.report.analysis.statistics import detectable
from mtlbench.report.report import read

RULES = {"best-val": "on validation", "last": "none", "best-test-oracle": "on test"}


def values(line: Line, rule: str, task: str, metric: str) -> Series:
    """A metric on test of what a rule would have deployed, by seed; the run's own rule's is the row's."""
    if rule == "best-val":
        return line.values[task, metric]
    found = {seed: run.rules[rule][task][metric] for seed, run in line.row.runs.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def table(results: Path) -> str:
    """Markdown: a row for each rule."""
    (result,) = read(results).aggregates
    (line,) = result.lines
    metrics = [(task.name, m) for task in result.study.tasks if (m := primary(task))]
    rows = []
    for rule, name in RULES.items():
        means = (f"{mean(values(line, rule, task, m.name)).mean:.3g}" for task, m in metrics)
        over = mean(delta_under(result, line, rule, line))
        gained = ("0", "") if rule == "best-val" else (interval(over, 1), f"{detectable(over.sd, over.n):.1f}")
        rows.append((name, *means, *gained))
    heads = (
        "chosen",
        *(f"{task}: {m.name} {'↑' if m.higher else '↓'}" for task, m in metrics),
        "over validation's choice, %",
        "found with a chance of 80 %",
    )
    return tabulate(
        rows, heads, tablefmt="pipe", disable_numparse=True, colalign=("left", *["right"] * (len(heads) - 1))
    )


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
