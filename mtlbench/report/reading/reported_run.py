"""A run reduced to what tables, figures and pages say about it. What is strange in a record is left out, never believed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtlbench.records import Cost, Followed, Metrics, ReferenceInfo, Run, SideBySide, TaskInfo, digest
from mtlbench.records.files import is_name
from mtlbench.report.reading.artefacts import Tree, read_tree
from mtlbench.report.text import as_float, clean


@dataclass(frozen=True)
class Policy:
    """Which blocks a task executes: `decided` and `alpha` are (tasks, blocks)."""

    tasks: tuple[str, ...]
    alpha: tuple[tuple[float, ...], ...]
    decided: tuple[tuple[int, ...], ...]
    undecided: bool = False
    entropy: float | None = None
    history: tuple[tuple[int, tuple[tuple[float, ...], ...]], ...] = ()  # (step, alpha)
    tried: tuple[tuple[float, bool], ...] = ()  # candidates' scores, and whether each was chosen


@dataclass(frozen=True)
class ReportedRun:
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
    sums: Mapping[str, str] = field(default_factory=dict)  # artefact -> its file's SHA-256, where the record has one
    damaged: tuple[str, ...] = ()  # kept files read here whose content is not what the record says it was
    resumed: tuple[str, ...] = ()  # what the record says of the times the run was taken up again
    policy: Policy | None = None
    tree: Tree | None = None
    control_of: str | None = None  # of role "control": whose training it is given, by its "steps" or "flops"
    control_kind: str | None = None
    neighbours: bool | None = None  # whether neighbouring test images resemble each other
    latency: SideBySide | None = None
    processor_seconds: float | None = None
    device_memory: float | None = None
    follows: Followed | None = None  # whose run of the same seed completed its options
    trial: int | None = None  # of a tuning stage
    validation: float | None = (
        None  # what chooses, on validation: the gain, or the score in records of before there was one
    )
    validation_error: float | None = None
    rules: Mapping[str, Metrics] = field(
        default_factory=dict
    )  # what other rules of selection would have deployed, on test

    @property
    def counts(self) -> bool:
        """Whether the run's figures enter means."""
        return self.status == "finished" and bool(self.final)

    @property
    def options(self) -> Mapping[str, Any]:
        """What tells rows of a method apart: its options, those taken from a run of the same seed given way to that run's."""
        value = self.config.get("options")
        own = value if isinstance(value, dict) else {}
        if self.follows is None:
            return own
        return {
            **{k: v for k, v in own.items() if k not in self.follows.taken},
            self.follows.method: self.follows.options,
        }

    @property
    def commit(self) -> str:
        """The commit it ran from; "" where it is not known."""
        return clean(self.environment.get("commit") or "", 20)


def reported(run: Run) -> ReportedRun:
    """Reduce a run as read to what is reported of it."""
    start, end = run.start, run.end
    final, validated, constant = run.final(), run.final("val"), run.constant()
    status, reason = _status(run)
    return ReportedRun(
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
        sums={a.name: a.sha256 for a in run.artefacts if a.sha256},
        damaged=tuple(name for name in READ if _disowned(run, name)),
        resumed=tuple(clean(note, 400) for note in run.notes),
        curves=_curves(run),
        policy=read_policy(run),
        tree=read_tree(artefact_file(run, "tree")),
        control_of=None if start.control_of is None else clean(start.control_of, 200),
        control_kind=start.control_kind,
        neighbours=start.neighbours,
        latency=run.latency,
        processor_seconds=as_float(end.processor_seconds) if end else None,
        device_memory=as_float(end.device_memory) if end else None,
        follows=start.follows,
        trial=start.trial,
        rules={clean(e.rule, 40): e.metrics for e in run.evals if e.purpose == "rule" and e.split == "test"},
        validation=as_float(validated.score if validated.gain is None else validated.gain) if validated else None,
        validation_error=as_float(validated.gain_error) if validated else None,
    )


def _status(run: Run) -> tuple[str, str]:
    if run.end is None:
        return "unfinished", "the record has no end: still running, or killed"
    if run.status == "finished" and run.final() is None and run.start.role != "tune":  # trials see validation alone
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


def inside(folder: Path, name: str) -> Path | None:
    """The artefact's file, if it is a plain file of the run's own folder."""
    path = folder / name if is_name(name) else None
    return path if path is not None and path.is_file() and not path.is_symlink() else None


LIMIT = 32 * 2**20  # bytes of a policy file that are read
READ = ("policy", "tree")  # artefacts that are read with the record


def artefact_file(run: Run, name: str) -> Path | None:
    """The plain file of an artefact of this name in the run's own folder, if it is what the run wrote."""
    return None if _disowned(run, name) else _kept(run, name)


def _kept(run: Run, name: str) -> Path | None:
    path = next((a.path for a in run.artefacts if a.name == name), None)
    return inside(run.folder, path) if path else None


def _disowned(run: Run, name: str) -> bool:
    """Whether the record has a checksum of the artefact, and its file another content; a file too large is not read."""
    path = _kept(run, name)
    stated = next((a.sha256 for a in run.artefacts if a.name == name), None)
    try:
        return bool(stated and path and path.stat().st_size <= LIMIT and digest(path) != stated)
    except OSError:
        return True


def read_policy(run: Run) -> Policy | None:
    """The policy artefact, whichever method wrote it; None where there is none or it is not one."""
    path = artefact_file(run, "policy")
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
    scores = [(as_float(c["score"]), bool(c["chosen"])) for c in data.get("candidates") or ()]
    tried = tuple((score, chosen) for score, chosen in scores if score is not None)
    entropy = as_float(data.get("entropy"))
    return Policy(tasks, alpha, decided, bool(data.get("undecided")), entropy, tuple(history), tried)


def _matrix(rows: Any, tasks: int) -> tuple[tuple[float, ...], ...]:
    matrix = tuple(tuple(float(x) for x in row) for row in rows)
    if len(matrix) != tasks or len({len(row) for row in matrix}) != 1 or not matrix[0]:
        raise ValueError("not a tasks x blocks matrix")
    return matrix
