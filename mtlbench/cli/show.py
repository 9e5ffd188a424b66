"""`mtlbench show`: one method, data set, kind of task, weighting or backbone, with every option it has."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from mtlbench.given import spec


def show(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A registered name, file.py:Class, or run for the training's options.")
    ],
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="The data set whose presets a method's defaults follow.")
    ] = "scenes",
    tasks: Annotated[str, typer.Option(metavar="A,B", help="Its tasks, separated by commas.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """A method, data set, kind, weighting or backbone: what it is, where it stands, and every option it has."""
    from mtlbench.cli.acts import show as act

    found = list(act.found(spec(name), spec(dataset), tuple(t for t in tasks.split(",") if t)))
    if as_json:
        print(json.dumps(found, indent=2, default=str))
    else:
        print("\n\n".join(map(act.text, found)))
    return 0
