"""Cell G: what the tasks' weights are worth to hard sharing: python docs/study/weights.py results/weights

By the weights that a run was trained with: each task's primary metric, and by how many percent they are better than those of
equal weights with the same seed, the mean over tasks (as Δ, but over hard sharing at equal weights), with its 95 % t interval.
"""

import sys
from pathlib import Path

from tabulate import tabulate

from mtlbench.report.analysis.aggregate import Aggregate, Line, Series, mean, mean_of, primary, relative
from mtlbench.report.analysis.merit import interval
from mtlbench.report.report import read


def shared(result: Aggregate) -> Line:
    """Hard sharing's row."""
    line = result.line("shared")
    assert line is not None
    return line


def gain(result: Aggregate, other: Aggregate) -> Series:
    """Of hard sharing at one study's weights over the other's, percent, by seed."""
    parts = []
    for task in result.study.tasks:
        metric = primary(task)
        assert metric is not None
        key = task.name, metric.name
        parts.append(relative(metric, shared(result).values[key], shared(other).values[key]))
    return mean_of(parts)


def table(results: Path) -> str:
    """Markdown: a row for each study, which differ in weights alone."""
    found = read(results).aggregates
    equal = next(r for r in found if len(set(r.study.config["weights"].values())) == 1)
    metrics = [(t.name, m) for t in equal.study.tasks if (m := primary(t))]
    rows = []
    for result in found:
        weights = result.study.config["weights"]
        values = [mean(shared(result).values[task, m.name]).mean for task, m in metrics]
        over = "0" if result is equal else interval(mean(gain(result, equal)), 1)
        rows.append((" / ".join(f"{w:g}" for w in weights.values()), *(f"{v:.3g}" for v in values), over))
    heads = [f"{task}: {m.name} {'↑' if m.higher else '↓'}" for task, m in metrics]
    return tabulate(
        rows,
        ("weights", *heads, "over equal weights, %"),
        tablefmt="pipe",
        disable_numparse=True,
        colalign=("left", *["right"] * (len(heads) + 1)),
    )


if __name__ == "__main__":
    print(table(Path(sys.argv[1])))
