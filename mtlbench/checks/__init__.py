"""The contract battery: every promise that the harness relies on, asked of a method, a data set or a kind.

`battery` is what `mtlbench check METHOD` prints and what the tests run over everything registered.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtlbench import plugins
from mtlbench.checks import costs, datasets, declared, devices, kinds, learning, outputs, state
from mtlbench.checks.asking import Check, Finding, ask
from mtlbench.checks.subject import Subject
from mtlbench.config import parse
from mtlbench.data.base import Dataset
from mtlbench.method import Method
from mtlbench.tasks import Kind

__all__ = [
    "DATASET_CHECKS",
    "KIND_CHECKS",
    "METHOD_CHECKS",
    "Finding",
    "battery",
    "check_dataset",
    "check_kind",
    "check_method",
    "dataset_battery",
    "kind_battery",
]

FIRST: Mapping[str, Check[Subject]] = {"builds": outputs.builds, "predicts": outputs.predicts}
"""What fails here would fail everything else too: the rest is not asked."""
REST: Mapping[str, Check[Subject]] = {
    "tasks": outputs.any_tasks,
    "order": outputs.any_order,
    "evaluates": outputs.evaluates,
    "gradients": learning.gradients,
    "turns": learning.turns,
    "learns": learning.learns,
    "seeds": learning.seeds,
    "resumes": learning.resumes,
    "state": state.round_trip,
    "deployed": state.deployed,
    "costs": costs.costs,
    "phases": declared.phases,
    "records": declared.records,
    "devices": devices.devices,
    "streams": outputs.streams,
    "backbones": outputs.backbones,
}
METHOD_CHECKS = (*FIRST, *REST)
DATASET_CHECKS = tuple(datasets.CHECKS)
KIND_CHECKS = tuple(kinds.CHECKS)


def battery(method: str | type[Method], options: Mapping[str, Any] | None = None) -> list[Finding]:
    """Every check of a method (its class, or as the command line names it) with these options over its defaults.

    Takes a few seconds: tiny networks on images of noise. What is wrong with the method is a finding, never an error.
    """
    subject = Subject(method, dict(options or {}))
    findings = ask(FIRST, subject, subject.file)
    return findings + ask(REST, subject, subject.file) if all(f.ok for f in findings) else findings


def dataset_battery(dataset: Dataset) -> list[Finding]:
    """Every check of a data set, on a few items of each part."""
    return ask(datasets.CHECKS, dataset, lambda: datasets.file(dataset))


def kind_battery(kind: type[Kind]) -> list[Finding]:
    """Every check of a kind of task, on labels of its own making."""
    example = kinds.Example(kind)
    return ask(kinds.CHECKS, example, example.file)


def check_method(method: str | type[Method], **options: Any) -> list[Finding]:
    """The contract battery over a method: its class, its name, or file.py:Class; `options` are set over its defaults.

    Takes a few seconds and no data. What is wrong is a finding that is not `ok`, never an error.
    """
    return battery(method, options)


def check_dataset(dataset: str | Dataset, data_dir: str | Path | None = None, **options: Any) -> list[Finding]:
    """The contract battery over a data set: opened already, or its name or file.py:Class, its folder and its options.

    Raises UnknownName, PluginError, ConfigError or DataError where it cannot be opened.
    """
    if isinstance(dataset, Dataset):
        return dataset_battery(dataset)
    kind = plugins.checked(plugins.load("datasets", dataset), Dataset, "data set", dataset)  # type: ignore[type-abstract]
    parsed = parse(kind.Options, options, f"data set {kind.name}")
    return dataset_battery(kind(parsed, None if data_dir is None else Path(data_dir), None))


def check_kind(kind: str | type[Kind]) -> list[Finding]:
    """The contract battery over a kind of task: its class, its name, or file.py:Class."""
    found = plugins.load("kinds", kind) if isinstance(kind, str) else kind
    return kind_battery(plugins.checked(found, Kind, "kind of task", str(kind)))  # type: ignore[type-abstract]
