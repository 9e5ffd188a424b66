"""From runs to figures: every metric over seeds, Delta against single-task, costs.

Everything is paired by seed: a method's run is compared with the anchor's run of the same seed, never with its mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mtlbench.records import MetricInfo, Metrics, TaskInfo
from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.latency import side_by_side
from mtlbench.report.analysis.resolution import grid, least_spread
from mtlbench.report.analysis.statistics import Paired, Span, Summary
from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.reading.studies import Row, Study
from mtlbench.report.text import as_float
from mtlbench.tasks import skill

CLEAR = 0.02  # one seed has no interval: the skill of single-task that a metric then needs to enter Delta

Key = tuple[str, str]  # (task, metric); the overall figures are (OVERALL, "delta") and (OVERALL, "delta_primary")
Series = dict[int, float]  # by seed
OVERALL = "all tasks"
DELTA: Key = (OVERALL, "delta")
DELTA_PRIMARY: Key = (OVERALL, "delta_primary")
SCORE: Key = (OVERALL, "skill")


@dataclass
class Line:
    """A row's figures, by seed."""

    row: Row
    values: dict[Key, Series] = field(default_factory=dict)  # the metrics, on the test split
    skill: dict[str, Series] = field(default_factory=dict)
    score: Series = field(default_factory=dict)
    delta: dict[str, Series] = field(default_factory=dict)  # by task and OVERALL; percent
    delta_primary: dict[str, Series] = field(default_factory=dict)
    difference: dict[Key, Series] = field(default_factory=dict)  # to single-task, in the metric's unit
    against: dict[Key, Paired] = field(default_factory=dict)  # against hard sharing; positive is better
    controlled: dict[str, Paired] = field(default_factory=dict)  # against hard sharing given its "steps" or "flops"
    costs: dict[str, Summary] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """The row's label."""
        return self.row.label

    def series(self, key: Key) -> Series:
        """A metric or an overall figure, by seed."""
        if key == DELTA:
            return self.delta.get(OVERALL, {})
        if key == DELTA_PRIMARY:
            return self.delta_primary.get(OVERALL, {})
        if key == SCORE:
            return self.score
        return self.values.get(key, {})


@dataclass
class TestSet:
    """What resampling the test images says of each row (by label): its figures, and its gains over hard sharing."""

    spans: dict[str, dict[Key, Span]] = field(default_factory=dict)
    gains: dict[str, dict[Key, Span]] = field(default_factory=dict)
    images: dict[str, int] = field(default_factory=dict)  # by task
    blocks: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


@dataclass
class Claim:
    """What a sentence may say of a row: that it differs from hard sharing ("gain"), that it harms a task ("harm"), or
    that it is a task's best ("best"). `test` is corrected for everything that the study's sentences could have said."""

    kind: str
    line: Line
    task: TaskInfo | None
    test: Paired


@dataclass
class Aggregate:
    """A study's figures. `kept_out` says of each metric that enters no Delta why."""

    study: Study
    lines: list[Line]
    constant: dict[Key, Series]
    kept_out: dict[Key, str]
    least: dict[Key, float] = field(default_factory=dict)  # the spread of differences that is rounding alone
    pairs: dict[tuple[str, str], Paired] = field(default_factory=dict)  # all pairs of labels, on the headline
    claims: list[Claim] = field(default_factory=list)
    timed: str = ""  # where latencies were measured side by side
    untimed: list[str] = field(default_factory=list)  # why some are missing
    test: TestSet = field(default_factory=TestSet)

    def line(self, kind: str) -> Line | None:
        """The anchor's line: "independent" or "shared"."""
        row = self.study.anchor(kind)
        return next((x for x in self.lines if x.row is row), None)

    @property
    def headline(self) -> Key:
        """What methods are compared by: Delta of the primary metrics, or the mean skill where nothing has a Delta."""
        return DELTA_PRIMARY if any(x.series(DELTA_PRIMARY) for x in self.lines) else SCORE

    def primary(self, task: TaskInfo) -> MetricInfo | None:
        """A task's primary metric."""
        return primary(task)

    @property
    def partial(self) -> list[str]:
        """Tasks none of whose metrics enters Delta."""
        return [t.name for t in self.study.tasks if all((t.name, m.name) in self.kept_out for m in t.metrics)]


def primary(task: TaskInfo) -> MetricInfo | None:
    """A task's primary metric; its first where none is marked."""
    return next((m for m in task.metrics if m.primary), task.metrics[0] if task.metrics else None)


def mean(series: Mapping[int, float]) -> Summary:
    """A series over seeds, summarised."""
    return statistics.summarise(list(series.values()))


def aggregate(study: Study) -> Aggregate:
    """All figures of a study."""
    lines = [Line(row) for row in study.rows]
    for line in lines:
        line.values = _values(study, line.row.runs, lambda run: run.final)
        line.skill = {t.name: _finite({s: r.skill.get(t.name) for s, r in line.row.runs.items()}) for t in study.tasks}
        line.score = _finite({s: r.score for s, r in line.row.runs.items()})
        line.costs = _costs(line.row.every)
    constant = _values(study, _constants(study), lambda run: run.constant)
    result = Aggregate(study, lines, constant, {})
    _relate(result)
    result.least = _least(result)
    latencies, result.timed, result.untimed = side_by_side(study)
    for line in lines:
        if line.label in latencies:
            line.costs["latency_ms"] = latencies[line.label]
    return result


def _finite(values: Mapping[int, float | None]) -> Series:
    return {seed: x for seed, value in values.items() if (x := as_float(value)) is not None}


def _values(study: Study, runs: Mapping[int, ReportedRun], of: Callable[[ReportedRun], Metrics]) -> dict[Key, Series]:
    keys = [(t.name, m.name) for t in study.tasks for m in t.metrics]
    return {(t, m): _finite({s: (of(run).get(t) or {}).get(m) for s, run in runs.items()}) for t, m in keys}


def _constants(study: Study) -> dict[int, ReportedRun]:
    """A run of each seed that recorded the constant predictor: it does not depend on the method."""
    return {run.seed: run for row in reversed(study.rows) for run in row.every if run.constant}


def _relate(result: Aggregate) -> None:
    """Delta and absolute differences to single-task."""
    reference = result.line("independent")
    if reference is None:
        return
    for task in result.study.tasks:
        for metric in task.metrics:
            if reason := _guard(
                metric, reference.values[task.name, metric.name], result.constant[task.name, metric.name]
            ):
                result.kept_out[task.name, metric.name] = reason
    for line in result.lines:
        for key, series in line.values.items():
            line.difference[key] = {
                s: v - reference.values[key][s] for s, v in series.items() if s in reference.values[key]
            }
        line.delta = _deltas(result, line, reference, lambda t: [m for m in t.metrics if m.counted])
        line.delta_primary = _deltas(result, line, reference, lambda t: [m for m in (primary(t),) if m])


def _guard(metric: MetricInfo, single: Series, constant: Series) -> str:
    """Why this metric may not enter Delta: "" if it may."""
    if not single:
        return "single-task has no figure"
    if not constant:
        return "no constant predictor is recorded"
    value = mean(single).mean
    if value <= 0:
        return f"single-task's {value:g} cannot be divided by"
    floor = mean(constant).mean
    gained = mean({s: skill(metric, v, constant.get(s, floor)) for s, v in single.items()})
    if not gained.n:
        return "the constant predictor is without error: the label never changes"
    if gained.n == 1:
        text = f"skill {gained.mean:.3f} in the one seed, needed {CLEAR:g}"
        return "" if gained.mean >= CLEAR else f"single-task does not clearly beat the constant predictor ({text})"
    if gained.low > 0:
        return ""
    text = f"skill {gained.mean:.3f}, 95 % interval {gained.low:.3f} to {gained.high:.3f}"
    return f"single-task is not shown to beat the constant predictor ({text})"


def _deltas(
    result: Aggregate, line: Line, reference: Line, metrics: Callable[[TaskInfo], Iterable[MetricInfo]]
) -> dict[str, Series]:
    """Delta by task and OVERALL, percent: 100 mean_j +-(M_j - M_j^single) / M_j^single (METHODS, AdaShare's)."""
    found: dict[str, Series] = {}
    for task in result.study.tasks:
        parts = [
            relative(metric, line.values[task.name, metric.name], reference.values[task.name, metric.name])
            for metric in metrics(task)
            if (task.name, metric.name) not in result.kept_out
        ]
        found[task.name] = mean_of(parts)
    found[OVERALL] = mean_of([series for name, series in found.items() if name not in _left_out(result, metrics)])
    return found


def delta_under(result: Aggregate, line: Line, rule: str, reference: Line) -> Series:
    """Delta over all tasks of what another rule of selection would have deployed, over a row as it was deployed:
    single-task, or the row itself."""
    runs = {s: r for s, r in line.row.runs.items() if rule in r.rules}
    if not runs:
        return {}
    values = _values(result.study, runs, lambda run: run.rules[rule])
    keys = [(m, (t.name, m.name)) for t in result.study.tasks if (m := primary(t))]
    used = [(m, key) for m, key in keys if key not in result.kept_out]
    return mean_of([relative(m, values[key], reference.values[key]) for m, key in used])


def _left_out(result: Aggregate, metrics: Callable[[TaskInfo], Iterable[MetricInfo]]) -> set[str]:
    return {t.name for t in result.study.tasks if all((t.name, m.name) in result.kept_out for m in metrics(t))}


def relative(metric: MetricInfo, values: Series, single: Series) -> Series:
    """Percent by which each seed improves on single-task's run of that seed; positive is better."""
    sign = 100.0 if metric.higher else -100.0
    return _finite({s: sign * ((v - single[s]) / single[s]) for s, v in values.items() if single.get(s)})


def mean_of(parts: list[Series]) -> Series:
    """The mean over parts, for the seeds that have them all."""
    common = set.intersection(*(set(p) for p in parts)) if parts else set()
    return {s: math.fsum(p[s] for p in parts) / len(parts) for s in sorted(common)}


def improvement(metric: MetricInfo | None, a: Series, b: Series) -> tuple[list[float], list[float]]:
    """Two series on their common seeds, turned so that a - b is positive where a is better."""
    sign = 1.0 if metric is None or metric.higher else -1.0
    common = sorted(a.keys() & b.keys())
    return [sign * a[s] for s in common], [sign * b[s] for s in common]


def paired(metric: MetricInfo | None, a: Series, b: Series, least: float = 0.0) -> Paired:
    """a against b, paired by seed; positive is better for a. `least` is the spread below which none is believed."""
    return statistics.paired(*improvement(metric, a, b), least)


def compared(result: Aggregate, a: Line, b: Line, key: Key, metric: MetricInfo | None = None) -> Paired:
    """Two rows of a study on one figure, paired by seed; positive is better for a."""
    return paired(metric, a.series(key), b.series(key), result.least.get(key, 0.0))


def _least(result: Aggregate) -> dict[Key, float]:
    """The least spread of differences that is believed, of every metric and of what methods are compared by."""
    steps = {key: grid(x.values[key] for x in result.lines) for key in result.constant}
    found = {key: least_spread([step]) for key, step in steps.items()}
    skills = [grid(x.skill.get(t.name, {}) for x in result.lines) for t in result.study.tasks]
    found[SCORE] = least_spread(skills)
    if single := result.line("independent"):
        keys = [(t.name, m.name) for t in result.study.tasks if (m := primary(t))]
        used = [key for key in keys if key not in result.kept_out]
        relative_ = {key: 100 * steps[key] / abs(mean(single.values[key]).mean) for key in used}
        found[DELTA_PRIMARY] = least_spread(relative_.values())
        found |= {(task, "Δ"): least_spread([step]) for (task, _), step in relative_.items()}
    return found


def spent(run: ReportedRun) -> dict[str, float | None]:
    """What a run's deployed network and its training cost, by name; 0 stands for "not recorded" where 0 is impossible."""
    found: dict[str, float | None] = {"steps": run.steps or None, "training_flops": run.training_flops or None}
    found["processor_hours"] = None if run.processor_seconds is None else run.processor_seconds / 3600
    if run.cost is None:
        return found
    count, macs = run.cost.parameters, run.cost.macs
    found |= {"parameters": count.total, "parameters_backbone": count.backbone, "parameters_heads": count.heads}
    found |= {
        "parameters_ratio": count.ratio,
        "macs": macs.total,
        "macs_backbone": macs.backbone,
        "flops": run.cost.flops,
    }
    found |= {"macs_own_pass": macs.own_pass or None, "memory": run.cost.peak_memory}
    return found | {f"macs:{task}": value for task, value in macs.each.items()}


def _costs(runs: list[ReportedRun]) -> dict[str, Summary]:
    series: dict[str, list[float]] = {}
    for run in runs:
        for name, value in spent(run).items():
            if (x := as_float(value)) is not None:
                series.setdefault(name, []).append(x)
    return {name: statistics.summarise(values) for name, values in series.items()}
