"""The tables of a study, in the papers' shape: accuracy, cost, differences to both anchors, and what is not in them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from mtlbench.records import MetricInfo, ReferenceInfo, TaskInfo
from mtlbench.report.analysis.aggregate import (
    DELTA,
    DELTA_PRIMARY,
    SCORE,
    Aggregate,
    Key,
    Line,
    Series,
    mean,
    paired,
    primary,
)
from mtlbench.report.analysis.statistics import ALPHA, EMPTY, Summary, widened
from mtlbench.report.tables import rules, trials, words
from mtlbench.report.tables.comparisons import against, over_test_sets, pairs
from mtlbench.report.tables.formats import BEST, SECOND, Cell, Column, Table
from mtlbench.report.tables.header import machines
from mtlbench.report.tables.naming import label, metric_column, metric_name, task_name
from mtlbench.report.text import as_float, clean
from mtlbench.tasks import skill


def all_tables(result: Aggregate) -> list[Table]:
    """Every table of a study that has something to say."""
    tables = [accuracy(result), costs(result), differences(result), skills(result)]
    compared = [against(result), over_test_sets(result), pairs(result)]
    return [
        t
        for t in (*tables, *compared, references(result), trials.table(result), rules.table(result), lost(result))
        if t.rows
    ]


def accuracy(result: Aggregate) -> Table:
    """Every metric on the test split, Delta per task and overall."""
    columns: list[Column] = []
    keys: list[Key] = []
    for task in result.study.tasks:
        columns += [metric_column(task, m) for m in task.metrics]
        columns.append(Column("delta_primary", "Δ", task_name(task), "%", True, 1, True))
        keys += [*((task.name, m.name) for m in task.metrics), (task.name, "Δ")]
    columns.append(Column("delta_primary", "Δ", "", "%", True, 1, True, interval=True))
    columns.append(Column("skill", "mean skill", "", "", True, 3))
    columns.append(Column("delta", "Δ, all metrics", "", "%", True, 1, True))
    keys += [DELTA_PRIMARY, SCORE, DELTA]
    rows = [(label(line), [Cell(mean(_series(line, key))) for key in keys]) for line in result.lines]
    for index, (key, column) in enumerate(zip(keys, columns, strict=True)):
        _mark(result, [cells[index] for _, cells in rows], [_series(x, key) for x in result.lines], column, key)
    if any(result.constant.values()):
        cells = [Cell(mean(result.constant.get(key, {}))) for key in keys]
        rows.insert(0, ("constant predictor", cells))
    return Table("accuracy", "Accuracy on the test split", columns, rows, _accuracy_notes(result))


def _series(line: Line, key: Key) -> Series:
    return line.delta_primary.get(key[0], {}) if key[1] == "Δ" else line.series(key)


def _mark(result: Aggregate, cells: list[Cell], series: list[Series], column: Column, key: Key) -> None:
    """Mark best and second best among the study's methods, and what cannot be told from the best (paired by seed)."""
    sign = 1.0 if column.higher else -1.0
    turned = [{seed: sign * value for seed, value in s.items()} for s in series]
    ranked = {i: round(mean(s).mean, 12) for i, s in enumerate(turned) if s and result.lines[i].row.role == "study"}
    values = sorted(set(ranked.values()), reverse=True)
    if len(values) < 2:
        return
    best = next(i for i, value in ranked.items() if value == values[0])
    level = ALPHA / (len(ranked) - 1)
    for i, value in ranked.items():
        cells[i].mark = {values[0]: BEST, values[1]: SECOND if len(values) > 2 else ""}.get(value, "")
        if value != values[0]:
            gap = widened(paired(None, turned[best], turned[i], result.least.get(key, 0.0)).difference, level)
            cells[i].tied = gap.n >= 2 and gap.low <= 0


def _accuracy_notes(result: Aggregate) -> list[str]:
    notes = [f"{words.ONE_SEED} {words.BOLD}" if len(result.study.seeds) == 1 else words.SEEDS]
    if result.line("independent") is None:
        notes.append(words.NO_SINGLE_TASK)
    else:
        notes += [words.DELTA, *_guard_notes(result)]
    return notes + status_notes(result)


def _guard_notes(result: Aggregate) -> list[str]:
    if not result.kept_out:
        return []
    names = {(t.name, m.name): f"{t.name} {metric_name(m)}" for t in result.study.tasks for m in t.metrics}
    told = "; ".join(f"{clean(names[key], 60)}: {reason}" for key, reason in result.kept_out.items())
    notes = [f"Not in Δ: {told}."]
    left = [t.name for t in result.study.tasks if t.name not in result.partial]
    if result.partial and left:
        notes.append(f"Δ overall is over {', '.join(clean(n, 40) for n in left)} only.")
    return notes


def status_notes(result: Aggregate) -> list[str]:
    """What every table of a study must say of its rows."""
    notes = []
    if derived := [clean(t.name, 40) for t in result.study.tasks if t.derived]:
        notes.append(words.DERIVED.format(names=", ".join(derived)))
    undecided = [f"{x.label}, seed {', '.join(map(str, x.row.undecided))}" for x in result.lines if x.row.undecided]
    if undecided:
        notes.append(words.UNDECIDED.format(told="; ".join(undecided)))
    return [*notes, words.ORACLE] if result.study.oracle else notes


_COSTS = (
    Column("parameters", "parameters", "", "", None, prefix=True),
    Column("parameters_backbone", "backbone", "", "", None, prefix=True),
    Column("parameters_heads", "heads", "", "", None, prefix=True),
    Column("parameters_ratio", "backbone ×", "", "", None, 2),
    Column("macs", "MACs, all tasks", "", "MAC", None, prefix=True),
    Column("macs_backbone", "backbone MACs", "", "MAC", None, prefix=True),
    Column("macs_own_pass", "MACs, own passes", "", "MAC", None, prefix=True),
    Column("latency_ms", "latency", "", "ms", None, 2, interval=True),
    Column("memory", "peak memory", "", "B", None, prefix=True),
    Column("steps", "training steps", "", "", None, 0),
    Column("training_flops", "training compute", "", "FLOP", None, prefix=True),
    Column("processor_hours", "processor time", "", "h", None, 2),
)

_IF_MEASURED = ("latency_ms", "processor_hours")


def costs(result: Aggregate) -> Table:
    """What the deployed network and its training cost."""
    measured = {name for line in result.lines for name in line.costs}
    each = [name for t in result.study.tasks if (name := f"macs:{t.name}") in measured]
    own = [Column(name, f"MACs, {clean(name[5:], 30)} alone", "", "MAC", None, prefix=True) for name in each[:6]]
    columns = [c for c in _COSTS if c.key not in _IF_MEASURED or c.key in measured] + own
    rows = []
    for line in result.lines:
        if any(s.n for s in line.costs.values()):
            rows.append((label(line), [Cell(line.costs.get(c.key, EMPTY)) for c in columns]))
    notes = [words.COST, *([words.LATENCY.format(where=result.timed)] if result.timed else []), *result.untimed]
    if "processor_hours" in measured:
        notes.append(words.PROCESSOR.format(where=", ".join(machines(result.study)) or "unknown machines"))
    operators = {clean(o, 60) for r in result.study.runs if r.cost for o in r.cost.uncounted}
    if operators:
        notes.append(f"Operators not counted in MACs: {', '.join(sorted(operators)[:12])}.")
    return Table("cost", "Cost of what would be deployed, and of training it", columns, rows, notes)


def differences(result: Aggregate) -> Table:
    """Absolute differences to single-task of the same seed, in the metrics' units."""
    reference = result.line("independent")
    pairs_ = [(t, m) for t in result.study.tasks for m in t.metrics]
    columns = [metric_column(t, m, sign=True) for t, m in pairs_]
    rows = []
    for line in result.lines:
        if reference is not None and line is not reference and any(line.difference.values()):
            rows.append((label(line), [Cell(mean(line.difference.get((t.name, m.name), {}))) for t, m in pairs_]))
    return Table("difference", "Absolute difference to single-task, paired by seed", columns, rows)


def skills(result: Aggregate) -> Table:
    """Skill over the constant predictor on each task's primary metric, and the score."""
    columns = [Column(t.name, f"{task_name(t)}", "", "", True, 3) for t in result.study.tasks]
    columns.append(Column("score", "mean", "", "", True, 3))
    rows = []
    for line in result.lines:
        if any(line.skill.values()):
            series = [*(line.skill[t.name] for t in result.study.tasks), line.score]
            rows.append((label(line), [Cell(mean(s)) for s in series]))
    notes = [words.SKILL, *_without_error(result)]
    return Table("skill", "Skill over the constant predictor", columns, rows, notes)


def _without_error(result: Aggregate) -> list[str]:
    """The tasks that are in no skill and no mean, because the constant predictor is without error on them."""
    names = []
    for task in result.study.tasks:
        if (metric := primary(task)) is not None:
            known = [*result.constant[task.name, metric.name].values()]
            if known and all(math.isnan(skill(metric, 0.0, value)) for value in known):
                names.append(task_name(task))
    return [words.WITHOUT_ERROR.format(names=", ".join(names))] if names else []


def references(result: Aggregate) -> Table:
    """Published figures, each with its source: never compared with ours cell by cell, settings differ."""
    pairs_ = [(t, m) for t in result.study.tasks for m in t.metrics]
    rows = [
        (f"{clean(r.label).removesuffix(' (published)')} (published)", [Cell(_known(r, t, m)) for t, m in pairs_])
        for r in _references(result)
    ]
    notes = [f"{clean(r.label)}: {clean(r.source)}." for r in _references(result)]
    notes.append(words.PUBLISHED)
    columns = [metric_column(t, m) for t, m in pairs_]
    return Table("published", "Published figures, with their sources", columns, rows, notes)


def _references(result: Aggregate) -> Iterable[ReferenceInfo]:
    found = {(r.label, r.source): r for run in result.study.runs for r in run.reference}
    return [found[key] for key in sorted(found) if key[1].strip()]


def _known(row: ReferenceInfo, task: TaskInfo, metric: MetricInfo) -> Summary:
    value = as_float((row.metrics.get(task.name) or {}).get(metric.name))
    return EMPTY if value is None else Summary(1, value)


def lost(result: Aggregate) -> Table:
    """Runs whose figures are not in the tables, each with its reason."""
    rows = [
        (line.label, [Cell(str(seed)), Cell(reason)])
        for line in result.lines
        for seed, reason in sorted(line.row.lost.items())
    ]
    columns = [Column("seed", "seed"), Column("reason", "why")]
    return Table("not-counted", "Runs that are not in the figures above", columns, rows)
