"""How well a score says what Delta says, from records: what selection and tuning go by, beside the mean skill.

python tests/deployed/score_study.py RESULTS [RESULTS ...]

A row a study with single-task and hard sharing: the rank correlation (Spearman) of either score on validation with Delta
of the primary metrics on test, over its runs; and in how many of 2,000 validation-sized draws of test images hard sharing
less single-task has another sign than Delta has on the whole split. docs/statistics.md has the figures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from mtlbench.records import MetricInfo, TaskInfo, read_run
from mtlbench.report.analysis import bootstrap
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, primary
from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.report import read
from mtlbench.report.tables.header import title
from mtlbench.tasks.metric import log_gain, skill
from mtlbench.tasks.reductions import parse, reduce

DRAWS = 2000
BLOCKS = 10  # contiguous ones that a validation split is carved out in, where neighbours resemble each other
HELD = 0.1  # of train, by default

Measure = Callable[[MetricInfo, float, float], float]
MEASURES: Mapping[str, Measure] = {"score": log_gain, "mean skill": skill}


@dataclass(frozen=True)
class Agreement:
    """A study's figures, by measure."""

    study: str
    runs: int
    images: int  # of a draw
    correlation: Mapping[str, float]
    flips: Mapping[str, float]


def agreement(result: Aggregate) -> Agreement:
    """How a study's runs come out under either measure."""
    lines = [x for x in result.lines if x.row.role == "study"]
    deltas = {(x.label, s): d for x in lines for s, d in x.series(DELTA_PRIMARY).items()}
    runs = {(x.label, s): x.row.runs[s] for x in lines for s in x.row.runs if (x.label, s) in deltas}
    keys = sorted(runs)
    found = {
        name: float(stats.spearmanr([deltas[k] for k in keys], [validated(runs[k], of) for k in keys]).statistic)
        for name, of in MEASURES.items()
    }
    images, flips = flipped(result)
    return Agreement(title(result.study), len(keys), images, found, flips)


def validated(run: ReportedRun, measure: Measure) -> float:
    """A run's score on validation."""
    record = read_run(run.folder)
    final, constant = record.final("val"), record.constant("val") or record.constant()
    assert final is not None and constant is not None
    return scored(run.tasks, lambda t, m: final.metrics[t][m], lambda t, m: constant.metrics[t][m], measure)


def scored(
    tasks: tuple[TaskInfo, ...],
    value: Callable[[str, str], float | None],
    constant: Callable[[str, str], float | None],
    measure: Measure,
) -> float:
    """The mean of a measure over tasks' primary metrics."""
    found = []
    for task in tasks:
        metric = primary(task)
        assert metric is not None
        own, reference = value(task.name, metric.name), constant(task.name, metric.name)
        assert own is not None and reference is not None
        found.append(measure(metric, own, reference))
    return float(np.nanmean(found))


def flipped(result: Aggregate) -> tuple[int, dict[str, float]]:
    """Images of a draw, and how often its sign is not that of the whole split's Delta, over draws and common seeds."""
    shared, single = result.line("shared"), result.line("independent")
    assert shared is not None and single is not None
    common = sorted(shared.row.runs.keys() & single.row.runs.keys() & shared.series(DELTA_PRIMARY).keys())
    wrong: dict[str, list[float]] = {name: [] for name in MEASURES}
    size = 0
    for seed in common:
        truth = np.sign(shared.series(DELTA_PRIMARY)[seed])
        a, b = shared.row.runs[seed], single.row.runs[seed]
        size, drawn = draws(a)
        for name, measure in MEASURES.items():
            gaps = drawn_scores(a, drawn, measure) - drawn_scores(b, drawn, measure)
            wrong[name].append(float((np.sign(gaps) != truth).mean()))
    return size, {name: float(np.mean(w)) for name, w in wrong.items()}


def draws(run: ReportedRun) -> tuple[int, dict[str, NDArray[np.float64]]]:
    """Images of a draw, and by task (DRAWS, images) of 0 and 1: a tenth of them, in blocks where neighbours are related."""
    rng = np.random.default_rng(0)
    related = len(run.streams) < 2 if run.neighbours is None else run.neighbours
    found: dict[str, NDArray[np.float64]] = {}
    for task, rows in statistics(run).items():
        if found and len(run.streams) < 2:  # one image has all the labels
            found[task] = next(iter(found.values()))
            continue
        images = len(next(iter(rows.values())))
        length = max(1, round(HELD * images / BLOCKS)) if related else 1
        blocks = max(1, round(HELD * images / length))
        starts = [rng.choice(images // length, blocks, replace=False) * length for _ in range(DRAWS)]
        found[task] = np.zeros((DRAWS, images))
        for draw, at in zip(found[task], starts, strict=True):
            draw[(at[:, None] + np.arange(length)).ravel()] = 1
    return int(min(d.sum(1).min() for d in found.values())), found


def statistics(run: ReportedRun) -> dict[str, dict[str, NDArray[np.float64]]]:
    """What each of the run's test images adds, by task."""
    return bootstrap.load(run.folder / run.artefacts[bootstrap.ARTEFACT])


def drawn_scores(run: ReportedRun, drawn: Mapping[str, NDArray[np.float64]], measure: Measure) -> NDArray[np.float64]:
    """The run's score in every draw, over the whole split's constant predictor."""
    rows = statistics(run)
    parts = []
    for task in run.tasks:
        metric = primary(task)
        assert metric is not None
        sums = {name: drawn[task.name] @ r for name, r in rows[task.name].items()}
        values = np.asarray(reduce(parse(metric.reduction), sums), dtype=np.float64)
        reference = run.constant[task.name][metric.name]
        assert reference is not None
        parts.append([measure(metric, float(v), reference) for v in values])
    return np.asarray(np.mean(parts, axis=0))


def main(folders: list[str]) -> None:
    """Print a row a study."""
    head = [f"{kind}, {name}" for kind in ("correlation with Delta", "other sign") for name in MEASURES]
    print("| study | runs | images a draw |", " | ".join(head), "|\n| --- |" + " --: |" * (2 + len(head)))
    for folder in folders:
        for result in read(Path(folder)).aggregates:
            if result.line("shared") is None or not any(x.series(DELTA_PRIMARY) for x in result.lines):
                continue
            found = agreement(result)
            cells = [f"{found.correlation[n]:.2f}" for n in MEASURES] + [
                f"{100 * found.flips[n]:.0f} %" for n in MEASURES
            ]
            print(f"| {found.study} | {found.runs} | {found.images} |", " | ".join(cells), "|")


if __name__ == "__main__":
    main(sys.argv[1:])
