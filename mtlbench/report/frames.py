"""What a results folder says as pandas DataFrames, for notebooks: long tables, one figure a row, by study, method and seed.

The figures are the report's own: the same studies, Delta, intervals and corrected tests as on its page.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, OVERALL, SCORE, Aggregate, Line, mean
from mtlbench.report.analysis.statistics import Paired, Summary
from mtlbench.report.report import Report, read
from mtlbench.report.tables.header import title

if TYPE_CHECKING:
    from pandas import DataFrame

Row = dict[str, Any]


@dataclass(frozen=True)
class Frames:
    """The tables of a results folder.

    `runs`: a row a run: study, method (the row's label), seed, role, status, reason, score, steps, FLOPs, times, folder.
    `metrics`: a row a run, task and metric on the test split, with unit, direction and the constant predictor's value.
    `summary`: a row a method, task and metric over seeds: n, mean, sd, and the 95 % t interval low to high; Delta (percent)
    and the skill of each task and of all tasks among them.
    `tests`: a row a comparison with hard sharing (`against`: as the study trains it, or given the same "steps" or "flops"):
    difference, interval, p, corrected p, what would have been detected.
    `costs`: a row a method and cost. `curves`: validation by step. `policies`: a row a run, task and block.
    """

    runs: DataFrame
    metrics: DataFrame
    summary: DataFrame
    tests: DataFrame
    costs: DataFrame
    curves: DataFrame
    policies: DataFrame

    def table(self, metric: str = "delta") -> DataFrame:
        """Methods by studies: the mean over seeds of `metric` over all tasks ("delta" or "skill")."""
        rows = self.summary[(self.summary.task == OVERALL) & (self.summary.metric == metric)]
        return rows.pivot(index="method", columns="study", values="mean")


def read_report(results: str | Path) -> Frames:
    """Read a results folder into DataFrames; writes nothing. RecordError where there is none."""
    return frames(read(Path(results)))


def frames(report: Report) -> Frames:
    """A report's figures as DataFrames."""
    import pandas  # half a second that the report itself does not pay

    def made(rows: Iterable[Row], columns: str) -> DataFrame:
        return pandas.DataFrame(list(rows), columns=columns.split())

    each = [(r, x) for r in report.aggregates for x in r.lines]
    return Frames(
        made((row for r, x in each for row in _runs(r, x)), RUNS),
        made((row for r, x in each for row in _metrics(r, x)), METRICS),
        made((row for r, x in each for row in _summary(r, x)), SUMMARY),
        made((row for r, x in each for row in _tests(r, x)), TESTS),
        made((row for r, x in each for row in _costs(r, x)), COSTS),
        made((row for r, x in each for row in _curves(r, x)), CURVES),
        made((row for r, x in each for row in _policies(r, x)), POLICIES),
    )


WHO = "study method"
RUNS = f"{WHO} seed role status reason score steps training_flops seconds processor_seconds title folder"
METRICS = f"{WHO} seed task metric value unit higher primary constant"
SUMMARY = f"{WHO} task metric n mean sd low high"
TESTS = f"{WHO} task metric against n difference low high p corrected detectable"
COSTS = f"{WHO} cost n mean low high"
CURVES = f"{WHO} seed task step value"
POLICIES = f"{WHO} seed task block alpha executed"


def _who(result: Aggregate, line: Line) -> Row:
    return {"study": result.study.name, "method": line.label}


def _runs(result: Aggregate, line: Line) -> Iterator[Row]:
    who = {**_who(result, line), "title": title(result.study), "role": line.row.role}
    for seed, run in sorted({**line.row.runs, **line.row.failed}.items()):
        told = {
            "status": run.status,
            "reason": run.reason,
            "score": run.score,
            "steps": run.steps,
            "seconds": run.seconds,
        }
        more = {"training_flops": run.training_flops, "processor_seconds": run.processor_seconds}
        yield {**who, "seed": seed, **told, **more, "folder": str(run.folder)}


def _metrics(result: Aggregate, line: Line) -> Iterator[Row]:
    for task in result.study.tasks:
        for metric in task.metrics:
            key = (task.name, metric.name)
            constant = mean(result.constant.get(key, {})).mean
            told = {"unit": metric.unit, "higher": metric.higher, "primary": metric.primary, "constant": constant}
            for seed, value in sorted(line.values[key].items()):
                names = {"seed": seed, "task": task.name, "metric": metric.name}
                yield {**_who(result, line), **names, "value": value, **told}


def _summary(result: Aggregate, line: Line) -> Iterator[Row]:
    figures = {(t.name, m.name): mean(line.values[t.name, m.name]) for t in result.study.tasks for m in t.metrics}
    figures |= {(t.name, "delta"): mean(line.delta_primary.get(t.name, {})) for t in result.study.tasks}
    figures |= {(t.name, "skill"): mean(line.skill[t.name]) for t in result.study.tasks}
    figures |= {(OVERALL, "delta"): mean(line.series(DELTA_PRIMARY)), (OVERALL, "skill"): mean(line.series(SCORE))}
    for (task, metric), value in figures.items():
        if value.n:
            yield {**_who(result, line), "task": task, "metric": metric, **_parts(value), "sd": value.sd}


def _parts(value: Summary) -> Row:
    return {"n": value.n, "mean": value.mean, "low": value.low, "high": value.high}


def _tests(result: Aggregate, line: Line) -> Iterator[Row]:
    names = {DELTA_PRIMARY: "delta", SCORE: "skill"}
    for (task, metric), test in line.against.items():
        told = {"task": task, "metric": names.get((task, metric), metric), "against": "hard sharing"}
        yield {**_who(result, line), **told, **_test(test)}
    for kind, test in line.controlled.items():
        told = {"task": OVERALL, "metric": names[result.headline], "against": kind}
        yield {**_who(result, line), **told, **_test(test)}


def _test(test: Paired) -> Row:
    parts = _parts(test.difference)
    parts["difference"] = parts.pop("mean")
    return {**parts, "p": test.p, "corrected": test.corrected, "detectable": test.detectable}


def _costs(result: Aggregate, line: Line) -> Iterator[Row]:
    return ({**_who(result, line), "cost": name, **_parts(value)} for name, value in line.costs.items() if value.n)


def _curves(result: Aggregate, line: Line) -> Iterator[Row]:
    for seed, run in sorted(line.row.runs.items()):
        for task, points in run.curves.items():
            for step, value in points:
                yield {**_who(result, line), "seed": seed, "task": task, "step": step, "value": value}


def _policies(result: Aggregate, line: Line) -> Iterator[Row]:
    for seed, run in sorted(line.row.runs.items()):
        if run.policy is None:
            continue
        for task, alpha, decided in zip(run.policy.tasks, run.policy.alpha, run.policy.decided, strict=True):
            for block, (a, d) in enumerate(zip(alpha, decided, strict=True)):
                told = {"block": block, "alpha": a, "executed": bool(d)}
                yield {**_who(result, line), "seed": seed, "task": task, **told}
