"""`mtlbench check` and `mtlbench data check`: does it keep its promises, and what lies there?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtlbench.errors import ConfigError
from mtlbench.given import path, spec

if TYPE_CHECKING:
    from mtlbench.checks import Finding


def check(
    method: Annotated[
        str | None, typer.Argument(metavar="METHOD", help="A method's name, file.py:Class or package.module:Class.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Check a data set instead: its name, or file.py:Class.")
    ] = None,
    kind: Annotated[
        str | None, typer.Option(metavar="NAME", help="Check a kind of task instead: its name, or file.py:Class.")
    ] = None,
    data_dir: Annotated[str | None, typer.Option(metavar="DIR", help="Where the data set lies on disk.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="X.Y=V", help="name.option=value; many times.")
    ] = None,
) -> int:
    """The contract battery: does a method, a data set or a kind of task keep every promise the harness relies on?"""
    if [method, dataset, kind].count(None) != 2:
        raise ConfigError("check needs one of METHOD, --dataset and --kind (see mtlbench check --help)")
    if kind is not None:
        findings = _kind_findings(kind)
    else:
        findings = _method_findings(method, set_) if method else _dataset_findings(str(dataset), data_dir, set_)
    from mtlbench.study.display import table

    print(table(("check", "", "detail"), [(f.name, "ok" if f.ok else "FAILED", f.detail) for f in findings]))
    failed = sum(not f.ok for f in findings)
    print(f"{len(findings) - failed} of {len(findings)} checks passed")
    return 1 if failed else 0


def _method_findings(method: str, given: list[str] | None) -> Sequence[Finding]:
    from mtlbench.study.entries import entries
    from mtlbench.study.settings import gather

    settings = gather({"methods": (method,), "set": given})
    (entry,) = entries(settings)
    from mtlbench import checks

    return checks.battery(entry.spec, settings.set.get(entry.name, {}))


def _dataset_findings(dataset: str, data_dir: str | None, given: list[str] | None) -> Sequence[Finding]:
    from mtlbench.study.settings import gather
    from mtlbench.study.study import open_for

    opened = open_for(gather({"dataset": dataset, "data_dir": data_dir, "set": given}))
    from mtlbench import checks

    return checks.dataset_battery(opened)


def _kind_findings(kind: str) -> Sequence[Finding]:
    from mtlbench import plugins
    from mtlbench.tasks import Kind

    found = plugins.checked(plugins.load("kinds", spec(kind)), Kind, "kind of task", kind)  # type: ignore[type-abstract]
    from mtlbench import checks

    return checks.kind_battery(found)


def data_check(folder: Annotated[str, typer.Argument(metavar="DIR", help="A data set's folder.")]) -> int:
    """What lies in a folder: layout, counts, ranges, problems."""
    folder = path(folder, "DIR")
    if not Path(folder).is_dir():
        raise ConfigError(f"no folder '{folder}' (a data set's folder is expected)")
    from mtlbench.data import inspect

    found = inspect.check(Path(folder))
    for line in found.lines():
        print(line)
    return 1 if found.problems else 0
