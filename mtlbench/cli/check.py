"""`mtlbench check` and `mtlbench data check`: does it keep its promises, and what lies there?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtlbench.cli.tables import table
from mtlbench.errors import ConfigError
from mtlbench.given import path, spec
from mtlbench.study.settings import gather


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
    asked = (
        {"methods": (method,)}
        if method is not None
        else {"dataset": dataset, "data_dir": data_dir}
        if kind is None
        else {}
    )
    settings = gather({**asked, "set": set_})
    from mtlbench.cli.acts import check as act

    if kind is not None:
        findings = act.kind_findings(spec(kind))
    else:
        findings = act.method_findings(settings) if method is not None else act.dataset_findings(settings)
    print(table(("check", "", "detail"), [(f.name, "ok" if f.ok else "FAILED", f.detail) for f in findings]))
    failed = sum(not f.ok for f in findings)
    print(f"{len(findings) - failed} of {len(findings)} checks passed")
    return 1 if failed else 0


def data_check(folder: Annotated[str, typer.Argument(metavar="DIR", help="A data set's folder.")]) -> int:
    """What lies in a folder: layout, counts, ranges, problems."""
    folder = path(folder, "DIR")
    if not Path(folder).is_dir():
        hint = "; a CSV file is read by `--dataset table`" if Path(folder).suffix.lower() == ".csv" else ""
        raise ConfigError(f"no folder '{folder}' (a data set's folder is expected{hint})")
    from mtlbench.data import inspect

    found = inspect.check(Path(folder))
    for line in found.lines():
        print(line)
    return 1 if found.problems else 0
