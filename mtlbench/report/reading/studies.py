"""Which runs stand in one table: they are grouped into studies of comparable runs.

A study is every run whose configuration agrees but for method, options, seed and role, on the same data and the same
kind of device. Runs of tuning stay out; runs that failed stay in, with their reason.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mtlbench.records import TaskInfo
from mtlbench.report.reading.labels import row_labels
from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.reading.settings import TUNED, flatten, settings
from mtlbench.report.text import clean, slug

FINGERPRINT = "fingerprint"  # says that data differ and not how: told only where nothing else tells studies apart
VARYING = frozenset({"method", "options", "seed", "role", "also"})  # what may differ inside a study
EXTENT = frozenset({"steps"})  # in which a budget control differs from its study
# in which trials may differ from the study they were for: they are shorter, see validation alone, and more of it
TRIALS = TUNED | EXTENT | {"evaluations", "selection", "data", "fingerprint"}
ORACLE = "best-test-oracle"
# what tells studies apart in a title, tried in this order before any other setting
FIRST_TOLD = (
    "budget",
    "selection",
    "preset",
    "device",
    "backbone",
    "width",
    "weighting",
    "steps",
    "tuning",
    "batch size",
)


@dataclass
class Row:
    """One line of a table: a method with its options, over seeds. `label` tells it from its neighbours."""

    label: str
    method: str
    options: Mapping[str, Any]
    role: str
    anchor: str | None
    runs: dict[int, ReportedRun]  # by seed; those whose figures count
    lost: dict[int, str] = field(default_factory=dict)  # seed -> why it does not count
    failed: dict[int, ReportedRun] = field(default_factory=dict)  # those of the lost that left a record
    control_of: str | None = None  # of role "control": whose training it is given, by its "steps" or "flops"
    control_kind: str | None = None

    @property
    def every(self) -> list[ReportedRun]:
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
    runs: list[ReportedRun]
    trials: list[ReportedRun] = field(default_factory=list)  # the trials of a tuning stage before it
    warnings: list[str] = field(default_factory=list)
    apart: str = ""  # the settings that tell it from other studies of the same data and tasks

    @property
    def oracle(self) -> bool:
        """Whether the test split was used to choose."""
        return self.config.get("selection") == ORACLE

    def anchor(self, kind: str) -> Row | None:
        """The row of single-task ("independent") or hard sharing ("shared") that comparisons are made against."""
        rows = [r for r in self.rows if r.anchor == kind and r.role == "study"]
        return max(rows, key=lambda r: (len(r.runs), -rows.index(r)), default=None)


def studies(runs: Iterable[ReportedRun]) -> list[Study]:
    """Group runs: those of one seed, which rank nothing, after the others; by data set, tasks and what tells them apart.

    The order of the records changes nothing.
    """
    ordered = sorted(runs, key=lambda o: o.id)
    trials: dict[str, list[ReportedRun]] = defaultdict(list)
    for run in ordered:
        if run.role == "tune":
            trials[_key(run, TRIALS)].append(run)
    groups: dict[str, list[ReportedRun]] = defaultdict(list)
    for run in ordered:
        if run.role == "study":
            groups[_study_key(run, trials)].append(run)
    homes: dict[str, list[str]] = defaultdict(list)
    for key, group in groups.items():
        homes[_key(group[0], EXTENT | TUNED)].append(key)
    for run in ordered:
        if run.role == "control":
            for key in homes.get(_key(run, EXTENT | TUNED)) or [_study_key(run, trials)]:
                groups[key].append(run)
    found = [_study(key, group, trials.get(_key(group[0], TRIALS), [])) for key, group in groups.items()]
    _tell_apart(found)
    return sorted(found, key=lambda s: (len(s.seeds) < 2, s.name.rpartition("-")[0], _natural(s.apart), s.name))


def _natural(text: str) -> list[tuple[float, str]]:
    """A key that puts numbers within a text in their own order."""
    parts = re.split(r"(\d+(?:\.\d+)?)", text)
    return [(float(p), "") if i % 2 else (math.inf, p) for i, p in enumerate(parts)]


def _tell_apart(found: Iterable[Study]) -> None:
    """Name in each study what sets it apart from those of the same data set and tasks, in as few settings as do.

    The same rows have the same names in all of them.
    """
    alike: dict[str, list[Study]] = defaultdict(list)
    for study in found:
        alike[json.dumps([study.config.get("dataset"), [t.name for t in study.tasks]], default=str)].append(study)
    for group in alike.values():
        settings = [_distinguishing(s) for s in group]
        rest = sorted({n for s in settings for n in s} - set(FIRST_TOLD), key=lambda n: (n == FINGERPRINT, n))
        told: list[str] = []
        parts = 1
        for name in (*FIRST_TOLD, *rest):
            split = len({tuple(s.get(n) for n in (*told, name)) for s in settings})
            if split > parts:
                told, parts = [*told, name], split
        _one_name(group)
        for study, s in zip(group, settings, strict=True):
            study.apart = ", ".join(f"{n} {s[n]}" for n in told if n in s)  # tuned ones are no setting of a study


def _one_name(group: Iterable[Study]) -> None:
    """A method's row is called in every study of the same data as where it stands beside others of the method."""
    rows = [(row, run) for study in group for row in study.rows for run in [*row.every, *row.failed.values()][:1]]
    told = {_same(run): row.label for row, run in rows if row.role == "study" and row.label != clean(row.method, 60)}
    for row, run in rows:
        if row.role == "study":
            row.label = told.get(_same(run), row.label)


def _same(run: ReportedRun) -> str:
    return json.dumps([run.method, dict(settings(run))], sort_keys=True, default=str)


def _distinguishing(study: Study) -> dict[str, str]:
    values = {**dict(flatten(study.config)), "device": study.device, FINGERPRINT: study.fingerprint or "unknown"}
    values["tuning"] = f"{len(study.trials)} trials" if study.trials else "none"
    return {_said(n): clean(v, 40) for n, v in values.items()}


def _said(setting: str) -> str:
    """A setting's dotted name as a title says it."""
    for prefix, word in (("data.", ""), ("weights.", "weight of ")):
        setting = word + setting.removeprefix(prefix) if setting.startswith(prefix) else setting
    return clean(setting, 40).replace("_", " ")


def _study_key(run: ReportedRun, trials: Mapping[str, list[ReportedRun]]) -> str:
    """What its study agrees on. After a tuning stage what was tuned is each method's own."""
    return _key(run, TUNED) if trials and trials.get(_key(run, TRIALS)) else _key(run)


def _agreed(run: ReportedRun, without: frozenset[str]) -> dict[str, Any]:
    """Its configuration but for these; empty weights are the data set's own, as in records of before there were others."""
    own = VARYING | without
    return {k: v for k, v in run.config.items() if k not in own and (v or k != "weights")}


def _key(run: ReportedRun, without: frozenset[str] = frozenset()) -> str:
    config = _agreed(run, without)
    if "data" in without:
        config["data"] = {k: v for k, v in _mapping(run.config.get("data")).items() if k != "val_fraction"}
    metrics = [(t.name, t.kind, t.channels, [(m.name, m.higher) for m in t.metrics]) for t in run.tasks]
    data = [config, metrics, run.streams, run.device, "" if "fingerprint" in without else run.fingerprint]
    return json.dumps(data, sort_keys=True, default=str)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _study(key: str, group: list[ReportedRun], trials: list[ReportedRun]) -> Study:
    first = next((r for r in group if r.role == "study"), group[0])
    config = _agreed(first, TUNED if trials else frozenset())
    seeds = sorted({r.seed for r in group if r.role == "study"} or {r.seed for r in group})
    common = (_name(first, key), config, first.tasks, first.streams, first.device, first.fingerprint)
    study = Study(*common, [], seeds, group, trials)
    study.rows = _rows(group, seeds, study.warnings)
    return study


def _name(run: ReportedRun, key: str) -> str:
    names = slug("+".join(t.name for t in run.tasks), 44)
    names = names if len(names) < 44 and len(run.tasks) <= 4 else f"{len(run.tasks)}tasks"
    parts = [slug(run.config.get("dataset", "data"), 24), names, slug(run.config.get("backbone", ""), 16)]
    parts += [slug(run.config.get("preset", ""), 10), slug(run.device, 8)]
    return "-".join([*parts, hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()[:6]])


def _rows(group: list[ReportedRun], seeds: list[int], warnings: list[str]) -> list[Row]:
    grouped: dict[tuple[str, ...], list[ReportedRun]] = defaultdict(list)
    several = _several(group)
    for run in group:
        apart = run.role == "control" and (run.control_of is None or (run.control_of, run.control_kind) in several)
        own = [run.config.get(k) or None for k in sorted(TUNED | (EXTENT if apart else frozenset()))]
        own += [run.control_of, run.control_kind]
        grouped[(run.method, run.role, json.dumps([run.options, own], sort_keys=True, default=str))].append(run)
    labels = row_labels(dict(sorted(grouped.items())))
    rows = [_row(labels[key], runs, seeds, warnings) for key, runs in grouped.items()]
    return sorted(rows, key=lambda r: (_ORDER.get(r.anchor or "", 2), r.role != "study", r.label))


_ORDER = {"independent": 0, "shared": 1}


def _several(group: Iterable[ReportedRun]) -> set[tuple[str | None, str | None]]:
    """Controls of several rows of one method: told apart by their steps, which else may differ by seed as policies do."""
    steps: dict[Any, set[str]] = defaultdict(set)
    for run in group:
        if run.role == "control":
            steps[run.control_of, run.control_kind, run.method, run.seed].add(str(run.config.get("steps")))
    return {key[:2] for key, found in steps.items() if len(found) > 1}


def _row(label: str, runs: list[ReportedRun], seeds: list[int], warnings: list[str]) -> Row:
    first = runs[0]
    row = Row(label, first.method, first.options, first.role, first.anchor, {})
    row.control_of, row.control_kind = first.control_of, first.control_kind
    by_seed: dict[int, list[ReportedRun]] = defaultdict(list)
    for run in runs:
        by_seed[run.seed].append(run)
    for seed, same in sorted(by_seed.items()):
        best = max(same, key=lambda r: (r.counts, r.time, r.id))
        if len(same) > 1:
            warnings.append(
                f"{label}, seed {seed}: {len(same)} records of one configuration; the newest counts ({best.id})"
            )
        warnings += [
            f"{label}, seed {seed}: its kept {n} is damaged (not what the record says), left out" for n in best.damaged
        ]
        if best.counts:
            row.runs[seed] = best
        else:
            row.lost[seed] = f"{best.status}: {best.reason}"
            row.failed[seed] = best
    for seed in seeds:
        if seed not in by_seed and first.role == "study":
            row.lost[seed] = "missing: no record of this seed"
    return row
