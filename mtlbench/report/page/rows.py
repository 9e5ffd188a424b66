"""What the page of a row says of each of its runs: how it ended, its figures, curves, policy, and how to repeat it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mtlbench.records import MetricInfo
from mtlbench.report.analysis.aggregate import Aggregate, Line, primary
from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.reading.settings import flatten
from mtlbench.report.reading.studies import ORACLE, Row, Study
from mtlbench.report.tables.naming import digits, metric_name, task_name, unit
from mtlbench.report.text import as_float, clean, duration, number, si, slug

Lines = list[tuple[str, str]]
MANY = 400  # entries of a configuration that are shown


def row_file(study: Study, row: Row) -> str:
    """The name of a row's page in runs/."""
    digest = hashlib.sha256(row.label.encode("utf-8", "replace")).hexdigest()[:4]
    return f"{study.name}--{slug(row.label, 48)}-{digest}.html"


def row_view(result: Aggregate, line: Line) -> dict[str, Any]:
    """Everything its template shows: what all runs share, then the runs by seed."""
    row = line.row
    found = {**row.runs, **row.failed}
    runs = [found[s] for s in sorted(found)]
    first = runs[0] if runs else None
    about: Lines = [
        ("Method", clean(row.method, 80)),
        ("Role", row.role),
        ("Seeds that count", _listed(sorted(row.runs))),
    ]
    about += [("Not counted", f"seed {s}: {clean(reason, 400)}") for s, reason in sorted(row.lost.items())]
    about += [("Command", clean(c, 400)) for c in sorted({r.command for r in runs if r.command})[:4]]
    return {
        "title": clean(f"{row.label} · {result.study.name}"),
        "label": row.label,
        "about": about,
        "config": [] if first is None else pairs({k: v for k, v in first.config.items() if k != "seed"}),
        "environment": [] if first is None else pairs(first.environment),
        "phases": [] if first is None else _phases(first),
        "runs": [_run(result, run, first or run) for run in runs],
    }


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds)) or "none"


def pairs(values: Mapping[str, Any]) -> Lines:
    """Nested data as dotted names and texts."""
    return [(clean(k, 80), clean(v, 400)) for k, v in list(flatten(values))[:MANY]]


def _phases(run: ReportedRun) -> Lines:
    named = [(p.get("name", i), {k: v for k, v in p.items() if k != "name"}) for i, p in enumerate(run.phases)]
    return [(clean(name, 60), clean(rest, 600)) for name, rest in named]


def _run(result: Aggregate, run: ReportedRun, first: ReportedRun) -> dict[str, Any]:
    facts = [("Record", clean(run.id, 120))]
    facts += [(task_name(t), text) for t in result.study.tasks if (text := _figures(run, t))]
    if run.score is not None:
        facts.append(("Mean skill", number(run.score, 3)))
    facts += [*_candidates(run), *_training(run)]
    if run.environment is not first.environment and run.environment != first.environment:
        changed = {k: v for k, v in flatten(run.environment) if dict(flatten(first.environment)).get(k) != v}
        facts.append(("Environment differs", clean(changed, 600)))
    if run.notes:
        facts.append(("Notes", clean("; ".join(f"{k}: {v}" for k, v in pairs(run.notes)), 800)))
    return {
        "seed": run.seed,
        "status": run.status,
        "bad": not run.counts,
        "reason": "" if run.counts else run.reason,
        "facts": facts,
        "sparks": [s for t in result.study.tasks if (s := _spark(run, t))],
        "policy": _policy(run),
    }


def _figures(run: ReportedRun, task: Any) -> str:
    values = run.final.get(task.name) or {}
    known = [(m, x) for m in task.metrics if (x := as_float(values.get(m.name))) is not None]
    told = ", ".join(f"{metric_name(m)} {_with_unit(x, m)}" for m, x in known)
    skill = as_float(run.skill.get(task.name))
    return told + (f"; skill {skill:.3f}" if told and skill is not None else "")


def _with_unit(value: float, metric: MetricInfo) -> str:
    return f"{number(value, digits(metric))} {unit(metric)}".replace(" °", "°").rstrip()


def _candidates(run: ReportedRun) -> Iterable[tuple[str, str]]:
    """What choosing among drawn policies was worth, where a method did."""
    tried = run.policy.tried if run.policy else ()
    if len(tried) > 1:
        scores = [score for score, _ in tried]
        chosen = next((f"{score:.3f}" for score, taken in tried if taken), "none")
        split = "the TEST split" if run.config.get("selection") == ORACLE else "validation"
        told = f"mean {sum(scores) / len(scores):.3f}, chosen {chosen}, {min(scores):.3f} to {max(scores):.3f}"
        yield "Policies tried", f"{len(tried)}, skill after a short retraining, on {split}: {told}"


def _training(run: ReportedRun) -> Iterable[tuple[str, str]]:
    deployed = f", deployed at {run.deployed_step:,}" if run.deployed_step else ""
    clocks = f"{duration(run.seconds)} by the clock"
    if run.processor_seconds is not None:
        clocks += f", {duration(run.processor_seconds)} of processor"
    yield "Training", f"{run.steps:,} steps{deployed}, {clocks}, {si(run.training_flops, 'FLOP')}"
    timing = {clean(k, 20): x for k, v in run.timing.items() if (x := as_float(v)) is not None}
    if (total := sum(timing.values())) > 0:
        yield "Time goes to", ", ".join(f"{k} {100 * x / total:.0f} %" for k, x in timing.items())
    if run.device_memory is not None:
        yield "Device memory", f"{si(run.device_memory, 'B')} at most, in training"
    if run.cost is not None:
        count = run.cost.parameters
        yield (
            "Parameters",
            f"{si(count.total)} ({si(count.backbone)} backbone, {count.ratio:.3g}×; {si(count.heads)} heads)",
        )
        yield "Compute", f"{si(run.cost.macs.total, 'MAC')} for all tasks"
    if (latency := run.latency) is not None:
        where = f"{latency.threads} threads of {clean(latency.processor or 'an unnamed processor', 60)}"
        spread = f"{latency.low_ms:.2f} to {latency.high_ms:.2f}, {latency.repeats} repeats, {where}"
        yield "Latency", f"{latency.median_ms:.2f} ms ({spread}; {clean(latency.time, 30)})"
    if run.resumed:
        yield "Taken up again", "; ".join(run.resumed)
    if run.artefacts:
        yield "Kept beside the record", clean(", ".join(sorted(run.artefacts.values())), 300)


def _spark(run: ReportedRun, task: Any) -> dict[str, str] | None:
    """The validation curve of the task's primary metric as points in a box of 180 x 52."""
    metric, curve = primary(task), run.curves.get(task.name, ())
    if metric is None or len(curve) < 2:
        return None
    steps, values = zip(*curve, strict=True)
    low, high = min(values), max(values)
    width, height = max(steps[-1] - steps[0], 1), (high - low) or 1.0
    points = " ".join(f"{(s - steps[0]) / width * 176 + 2:.4g},{48 - (v - low) / height * 44:.4g}" for s, v in curve)
    ends = {"first": number(values[0], digits(metric)), "last": _with_unit(values[-1], metric)}
    return {"title": f"{task_name(task)}, validation {metric_name(metric)}", "points": points, **ends}


def _policy(run: ReportedRun) -> dict[str, Any] | None:
    if run.policy is None:
        return None
    # rounded to whole percent: a probability of 5e-9 is 0 to a reader
    rows = zip(run.policy.tasks, run.policy.decided, run.policy.alpha, strict=True)
    return {
        "undecided": run.policy.undecided,
        "rows": [
            (t, [(on, f"{100 * min(max(a, 0.0), 1.0):.0f}") for on, a in zip(d, alpha, strict=True)])
            for t, d, alpha in rows
        ],
    }
