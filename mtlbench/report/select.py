"""Which runs stand in one table: records reduced to outcomes, and grouped into studies of comparable runs.

A study is every run whose configuration agrees but for method, options, seed and role, on the same data and the same
kind of device. Runs of tuning stay out; runs that failed stay in, with their reason.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtlbench.records import Cost, Metrics, ReferenceInfo, Run, TaskInfo
from mtlbench.report.text import as_float, clean, slug

VARYING = frozenset({"method", "options", "seed", "role"})  # what may differ inside a study
TUNED = frozenset({"lr", "weight_decay"})  # chosen per method where a tuning stage ran
EXTENT = frozenset({"steps", "budget"})  # in which a budget control may differ too
ORACLE = "best-test-oracle"


@dataclass(frozen=True)
class Policy:
    """Which blocks a task executes: `decided` and `alpha` are (tasks, blocks)."""

    tasks: tuple[str, ...]
    alpha: tuple[tuple[float, ...], ...]
    decided: tuple[tuple[int, ...], ...]
    undecided: bool = False
    entropy: float | None = None
    history: tuple[tuple[int, tuple[tuple[float, ...], ...]], ...] = ()  # (step, alpha)


@dataclass(frozen=True)
class Outcome:
    """A run, reduced to what tables, figures and pages say about it."""

    id: str
    folder: Path
    method: str
    seed: int
    role: str
    anchor: str | None
    config: Mapping[str, Any]
    tasks: tuple[TaskInfo, ...]
    streams: tuple[str, ...]
    device: str
    fingerprint: str
    layout: str
    time: str
    command: str
    environment: Mapping[str, Any]
    phases: tuple[Mapping[str, Any], ...]
    reference: tuple[ReferenceInfo, ...]
    status: str
    reason: str
    final: Metrics
    constant: Metrics
    skill: Mapping[str, float | None]
    score: float | None
    cost: Cost | None
    steps: int
    seconds: float | None
    training_flops: float | None
    deployed_step: int
    timing: Mapping[str, float]
    notes: Mapping[str, Any]
    artefacts: Mapping[str, str]
    curves: Mapping[str, tuple[tuple[int, float], ...]]  # task -> (step, primary metric on validation)
    losses: Mapping[str, tuple[tuple[int, float], ...]]  # task -> (step, training loss)
    policy: Policy | None = None

    @property
    def counts(self) -> bool:
        """Whether the run's figures enter means."""
        return self.status == "finished" and bool(self.final)

    @property
    def options(self) -> Mapping[str, Any]:
        """The method's options."""
        value = self.config.get("options")
        return value if isinstance(value, dict) else {}

    @property
    def commit(self) -> str:
        """The commit it ran from; "" where it is not known."""
        return clean(self.environment.get("commit") or "", 20)


def outcome(run: Run) -> Outcome:
    """Reduce a run as read to its outcome."""
    start, end = run.start, run.end
    final, constant = run.final(), run.constant()
    status, reason = _status(run)
    return Outcome(
        id=run.folder.name,
        folder=run.folder,
        method=start.method,
        seed=start.seed,
        role=start.role,
        anchor=start.anchor,
        config=start.config,
        tasks=_unique(start.tasks),
        streams=tuple(start.streams),
        device=device_kind(start.environment),
        fingerprint=start.fingerprint,
        layout=start.layout,
        time=start.time,
        command=start.command,
        environment=start.environment,
        phases=tuple(start.phases),
        reference=tuple(start.reference),
        status=status,
        reason=reason,
        final=final.metrics if final else {},
        constant=constant.metrics if constant else {},
        skill=final.skill if final else {},
        score=as_float(final.score) if final else None,
        cost=run.cost,
        steps=end.step if end else max((e.step for e in run.evals), default=0),
        seconds=as_float(end.seconds) if end else None,
        training_flops=as_float(end.training_flops) if end else None,
        deployed_step=end.deployed_step if end else 0,
        timing=end.timing if end else {},
        notes=end.notes if end else {},
        artefacts={a.name: a.path for a in run.artefacts},
        curves=_curves(run),
        losses=_losses(run),
        policy=read_policy(run),
    )


def _status(run: Run) -> tuple[str, str]:
    if run.end is None:
        return "unfinished", "the record has no end: still running, or killed"
    if run.status == "finished" and run.final() is None:
        return "failed", "finished without an evaluation of the test split"
    return run.status, clean(run.end.reason) or ("no reason recorded" if run.status != "finished" else "")


def _unique(tasks: Iterable[TaskInfo]) -> tuple[TaskInfo, ...]:
    return tuple({t.name: t for t in tasks}.values())


def device_kind(environment: Mapping[str, Any]) -> str:
    """ "cpu", or "cuda" for any accelerator: their numbers differ, so they never share a table."""
    kind = environment.get("device_kind")
    if isinstance(kind, str):
        return clean(kind, 20)
    return "cpu" if str(environment.get("device", "cpu")).startswith("cpu") else "cuda"


def _curves(run: Run) -> dict[str, tuple[tuple[int, float], ...]]:
    evals = [e for e in run.evals if e.split == "val" and e.purpose in ("curve", "final")]
    found: dict[str, tuple[tuple[int, float], ...]] = {}
    for task in run.start.tasks:
        name = next((m.name for m in task.metrics if m.primary), None)
        if name is None:
            continue
        values = {e.step: as_float((e.metrics.get(task.name) or {}).get(name)) for e in evals}
        found[task.name] = tuple((step, v) for step, v in sorted(values.items()) if v is not None)
    return found


def _losses(run: Run) -> dict[str, tuple[tuple[int, float], ...]]:
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for log in run.logs:
        for name, value in log.losses.items():
            if (loss := as_float(value)) is not None:
                found[name].append((log.step, loss))
    return {name: tuple(points) for name, points in found.items()}


def inside(folder: Path, name: str) -> Path | None:
    """The artefact's file, if it is a plain file of the run's own folder."""
    path = folder / name if name and Path(name).name == name else None
    return path if path is not None and path.is_file() and not path.is_symlink() else None


LIMIT = 32 * 2**20  # bytes of a policy file that are read


def read_policy(run: Run) -> Policy | None:
    """The policy artefact, whichever method wrote it; None where there is none or it is not one."""
    name = next((a.path for a in run.artefacts if a.name == "policy"), None)
    path = inside(run.folder, name) if name else None
    if path is None or path.stat().st_size > LIMIT:
        return None
    try:
        return _policy(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def _policy(data: Any) -> Policy | None:
    tasks = tuple(clean(t, 60) for t in data["tasks"])
    alpha = _matrix(data["alpha"], len(tasks))
    decided = tuple(tuple(int(x > 0.5) for x in row) for row in _matrix(data["decided"], len(tasks)))
    history = []
    for entry in data.get("history") or ():
        if "alpha" in entry:
            history.append((int(entry["step"]), _matrix(entry["alpha"], len(tasks))))
    return Policy(tasks, alpha, decided, bool(data.get("undecided")), as_float(data.get("entropy")), tuple(history))


def _matrix(rows: Any, tasks: int) -> tuple[tuple[float, ...], ...]:
    matrix = tuple(tuple(float(x) for x in row) for row in rows)
    if len(matrix) != tasks or len({len(row) for row in matrix}) != 1 or not matrix[0]:
        raise ValueError("not a tasks x blocks matrix")
    return matrix


@dataclass
class Row:
    """One line of a table: a method with its options, over seeds. `label` tells it from its neighbours."""

    label: str
    method: str
    options: Mapping[str, Any]
    role: str
    anchor: str | None
    runs: dict[int, Outcome]  # by seed; those whose figures count
    lost: dict[int, str] = field(default_factory=dict)  # seed -> why it does not count

    @property
    def every(self) -> list[Outcome]:
        """Its finished runs in the order of their seeds."""
        return [self.runs[s] for s in sorted(self.runs)]

    @property
    def undecided(self) -> list[int]:
        """Seeds whose policy is still a coin flip."""
        return [s for s, run in sorted(self.runs.items()) if run.policy is not None and run.policy.undecided]


@dataclass
class Study:
    """Comparable runs. `config` is what they all agree on."""

    name: str
    config: Mapping[str, Any]
    tasks: tuple[TaskInfo, ...]
    streams: tuple[str, ...]
    device: str
    fingerprint: str
    rows: list[Row]
    seeds: list[int]
    outcomes: list[Outcome]
    warnings: list[str] = field(default_factory=list)

    @property
    def oracle(self) -> bool:
        """Whether the test split was used to choose."""
        return self.config.get("selection") == ORACLE

    def anchor(self, kind: str) -> Row | None:
        """The row of single-task ("independent") or hard sharing ("shared") that comparisons are made against."""
        rows = [r for r in self.rows if r.anchor == kind and r.role == "study"]
        return max(rows, key=lambda r: (len(r.runs), -rows.index(r)), default=None)


def studies(outcomes: Iterable[Outcome]) -> list[Study]:
    """Group outcomes; the order is that of the studies' names, and does not depend on that of the records."""
    kept = sorted((o for o in outcomes if o.role != "tune"), key=lambda o: o.id)
    groups: dict[str, list[Outcome]] = defaultdict(list)
    controls: list[Outcome] = []
    for run in kept:
        if run.role == "control":
            controls.append(run)
        else:
            groups[_key(run)].append(run)
    for run in controls:
        homes = [g for g in groups.values() if g[0].role != "control" and _key(g[0], EXTENT) == _key(run, EXTENT)]
        for group in homes:
            group.append(run)
        if not homes:
            groups[_key(run)].append(run)
    return sorted((_study(key, group) for key, group in groups.items()), key=lambda s: s.name)


def _key(run: Outcome, without: frozenset[str] = frozenset()) -> str:
    config = {k: v for k, v in run.config.items() if k not in VARYING | without}
    metrics = [(t.name, t.kind, t.channels, [(m.name, m.higher) for m in t.metrics]) for t in run.tasks]
    data = [config, metrics, run.streams, run.device, run.fingerprint]
    return json.dumps(data, sort_keys=True, default=str)


def _study(key: str, group: list[Outcome]) -> Study:
    first = next((r for r in group if r.role != "control"), group[0])
    config = {k: v for k, v in first.config.items() if k not in VARYING}
    seeds = sorted({r.seed for r in group if r.role != "control"} or {r.seed for r in group})
    study = Study(
        _name(first, key), config, first.tasks, first.streams, first.device, first.fingerprint, [], seeds, group
    )
    study.rows = _rows(group, seeds, study.warnings)
    return study


def _name(run: Outcome, key: str) -> str:
    names = slug("+".join(t.name for t in run.tasks), 44)
    names = names if len(names) < 44 and len(run.tasks) <= 4 else f"{len(run.tasks)}tasks"
    parts = [slug(run.config.get("dataset", "data"), 24), names, slug(run.config.get("backbone", ""), 16)]
    parts += [slug(run.config.get("preset", ""), 10), slug(run.device, 8)]
    return "-".join([*parts, hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:6]])


def _rows(group: list[Outcome], seeds: list[int], warnings: list[str]) -> list[Row]:
    grouped: dict[tuple[str, ...], list[Outcome]] = defaultdict(list)
    for run in group:
        extent = [run.config.get(k) for k in sorted(EXTENT)] if run.role == "control" else []
        options = json.dumps([run.options, extent], sort_keys=True, default=str)
        grouped[(run.method, run.role, options)].append(run)
    labels = _labels({key: runs[0] for key, runs in grouped.items()})
    rows = [_row(labels[key], runs, seeds, warnings) for key, runs in grouped.items()]
    return sorted(rows, key=lambda r: (_ORDER.get(r.anchor or "", 2), r.role != "study", r.label))


_ORDER = {"independent": 0, "shared": 1}


def _row(label: str, runs: list[Outcome], seeds: list[int], warnings: list[str]) -> Row:
    first = runs[0]
    row = Row(label, first.method, first.options, first.role, first.anchor, {})
    by_seed: dict[int, list[Outcome]] = defaultdict(list)
    for run in runs:
        by_seed[run.seed].append(run)
    for seed, same in sorted(by_seed.items()):
        best = max(same, key=lambda r: (r.counts, r.time, r.id))
        if len(same) > 1:
            warnings.append(
                f"{label}, seed {seed}: {len(same)} records of one configuration; the newest counts ({best.id})"
            )
        if best.counts:
            row.runs[seed] = best
        else:
            row.lost[seed] = f"{best.status}: {best.reason}"
    for seed in seeds:
        if seed not in by_seed and first.role == "study":
            row.lost[seed] = "missing: no record of this seed"
    return row


def _labels(firsts: Mapping[tuple[str, ...], Outcome]) -> dict[tuple[str, ...], str]:
    """A label for each row: the method, and the options in which it differs from its other rows."""
    labels: dict[tuple[str, ...], str] = {}
    for key, run in firsts.items():
        flat = dict(flatten(run.options))
        others = [dict(flatten(o.options)) for k, o in firsts.items() if k[:2] == key[:2] and k != key]
        names = sorted({n for o in others for n in {*o, *flat} if o.get(n) != flat.get(n)})
        told = ", ".join(f"{clean(n, 40)}={clean(flat.get(n, '-'), 40)}" for n in names)
        label = clean(run.method, 60) + (f" ({told})" if told else "")
        if run.role == "control":
            steps = as_float(run.config.get("steps"))
            label += f" [control{f', {steps:,.0f} steps' if steps else ''}]"
        labels[key] = label
    return labels


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested options as dotted names; lists stay whole."""
    for name, inner in value.items():
        if isinstance(inner, dict) and inner and prefix.count(".") < 8:
            yield from flatten(inner, f"{prefix}{name}.")
        else:
            yield prefix + str(name), inner
