"""`mtlbench list`: what is registered."""

from __future__ import annotations

import inspect
import json
from typing import Annotated, Any, get_args

import typer

from mtlbench import plugins
from mtlbench.cli.tables import table
from mtlbench.errors import PluginError, one_line, unknown
from mtlbench.plugins import Kind

WHAT = (*get_args(Kind), "presets")


def list_(
    what: Annotated[
        str | None, typer.Argument(metavar="WHAT", help=f"{', '.join(WHAT[:-1])} or {WHAT[-1]}; all by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """What is registered, one line each."""
    if what is not None and what not in WHAT:
        raise unknown("thing to list", what, WHAT)
    found = {kind: _presets() if kind == "presets" else _registered(kind) for kind in ([what] if what else WHAT)}
    if as_json:
        print(json.dumps(found, indent=2, default=str))
        return 0
    for number, (kind, rows) in enumerate(found.items()):
        if what is None:
            print(("\n" if number else "") + kind.capitalize())
        header = ("data set", "preset", "settings") if kind == "presets" else ("name", "what it is")
        print(table(header, [[_cell(value) for value in row.values()] for row in rows]))
    return 0


def _cell(value: Any) -> str:
    return ", ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else str(value)


def _registered(kind: Any) -> list[dict[str, Any]]:
    found = [{"name": name, "what": _described(kind, name)} for name in plugins.names(kind)]
    if kind == "backbones":
        found += [{"name": f"{name}:NAME", "what": _first(make)} for name, make in plugins.families().items()]
    return found


def _first(thing: Any) -> str:
    """The first paragraph of what a thing says of itself, in one line."""
    return " ".join((inspect.getdoc(thing) or "").split("\n\n")[0].split())


def _described(kind: Any, name: str) -> str:
    try:
        return _first(plugins.load(kind, name))
    except PluginError as error:
        return f"({one_line(error)})"


def _presets() -> list[dict[str, Any]]:
    rows = []
    for name in plugins.names("datasets"):
        try:
            presets = plugins.load("datasets", name).presets
        except PluginError as error:
            presets = {"": {"": one_line(error)}}
        rows += [{"dataset": name, "preset": preset, "settings": dict(said)} for preset, said in presets.items()]
    return rows
