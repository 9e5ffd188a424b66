"""`mtlbench list`: what is registered."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mtlbench.errors import one_line, unknown

WHAT = ("methods", "datasets", "backbones", "kinds", "presets")


def list_(
    what: Annotated[
        str | None,
        typer.Argument(metavar="WHAT", help="methods, datasets, backbones, kinds or presets; all by default."),
    ] = None,
) -> int:
    """What is registered, one line each."""
    if what is not None and what not in WHAT:
        raise unknown("thing to list", what, WHAT)
    for number, kind in enumerate([what] if what else WHAT):
        print(("\n" if number else "") + (kind.capitalize() if what is None else ""), end="\n" if what is None else "")
        print(_presets() if kind == "presets" else _registered(kind))
    return 0


def _registered(kind: Any) -> str:
    from mtlbench import plugins
    from mtlbench.study.display import table

    return table(("name", "what it is"), [(n, _described(kind, n)) for n in plugins.names(kind)])


def _described(kind: Any, name: str) -> str:
    import inspect

    from mtlbench import plugins
    from mtlbench.errors import PluginError

    try:
        text = inspect.getdoc(plugins.load(kind, name)) or ""
    except PluginError as error:
        return f"({one_line(error)})"
    return " ".join(text.split("\n\n")[0].split())


def _presets() -> str:
    from mtlbench import plugins
    from mtlbench.errors import PluginError
    from mtlbench.study.display import table

    rows = []
    for name in plugins.names("datasets"):
        try:
            presets = plugins.load("datasets", name).presets
        except PluginError as error:
            presets = {"": {"": one_line(error)}}
        for preset, settings in presets.items():
            rows.append((name, preset, ", ".join(f"{k} {v}" for k, v in settings.items())))
    return table(("data set", "preset", "settings"), rows)
