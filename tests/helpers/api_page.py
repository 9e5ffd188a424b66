"""The reference in docs/api.md, drawn from signatures and docstrings: `python -m tests.helpers.api_page` writes it anew."""

from __future__ import annotations

import dataclasses
import inspect
import itertools
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import mtlbench

PAGE = Path(__file__).resolve().parents[2] / "docs" / "api.md"
START, END = "<!-- drawn from the docstrings: python -m tests.helpers.api_page -->\n", "<!-- end of what is drawn -->\n"


RETURNED = {
    "DeployedNetwork": "mtlbench.deployed.network",
    "Conducted": "mtlbench.study.conduct",
    "Run": "mtlbench.records",
    "Frames": "mtlbench.report.frames",
    "Finding": "mtlbench.checks",
    "Cost": "mtlbench.records",
}
"""What the functions return, and where it lives; nobody needs to import it."""


def reference() -> str:
    """Every public name's signature, docstring and members, and those of what the functions return."""
    public = [line for name in mtlbench.__all__ for line in entry(name, getattr(mtlbench, name))]
    returned = [line for name, place in RETURNED.items() for line in entry(name, getattr(import_module(place), name))]
    return "\n".join([*public, "## What the functions return\n", *returned])


def entry(name: str, value: Any) -> Iterator[str]:
    """One name's part of the page."""
    yield f"### `{name}`\n"
    yield f"`{value.__module__}`\n"
    yield f"```python\n{signature(name, value)}\n```\n"
    yield (inspect.getdoc(value) or "") + "\n"
    if inspect.isclass(value):
        rows = list(members(value))
        if rows:
            yield "\n".join(["| member | |", "|---|---|", *rows]) + "\n"


def signature(name: str, value: Any) -> str:
    """`name(parameters) -> type`, a parameter a line where they are many; a class without arguments names its bases."""
    if inspect.isclass(value) and not (has_own_init(value) or dataclasses.is_dataclass(value)):
        return f"class {name}({', '.join(b.__name__ for b in value.__bases__)})"
    whole = inspect.signature(value)
    parameters = [p for p in whole.parameters.values() if p.name not in ("self", "cls")]
    given = [parameter(p) for p in parameters]
    named = [n for n, p in enumerate(parameters) if p.kind is p.KEYWORD_ONLY]
    if named and not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        given.insert(named[0], "*")
    returns = "" if inspect.isclass(value) else f" -> {annotation(whole.return_annotation)}"
    head = f"class {name}" if inspect.isclass(value) else name
    line = f"{head}({', '.join(given)}){returns}"
    return line if len(line) <= 100 else f"{head}(\n    " + ",\n    ".join(given) + f",\n){returns}"


def parameter(p: inspect.Parameter) -> str:
    """A parameter with its type and default; a default of several fields is shown as its class."""
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(p.kind, "")
    text = f"{stars}{p.name}: {annotation(p.annotation)}"
    return text if p.default is p.empty else f"{text} = {default(p.default)}"


def default(value: Any) -> str:
    """A default value, short."""
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        return f"({', '.join(default(v) for v in value)},)"
    return f"{type(value).__name__}(...)" if dataclasses.is_dataclass(value) else repr(value)


def annotation(value: Any) -> str:
    """A type as the source writes it."""
    return value if isinstance(value, str) else getattr(value, "__name__", str(value))


def has_own_init(value: type) -> bool:
    """Whether a class takes arguments of its own."""
    return "__init__" in vars(value)


def members(value: type) -> Iterator[str]:
    """Rows of a class's own public members: fields, methods, properties, and attributes that have a docstring."""
    said = attribute_docs(value)
    for name, kind in inspect.get_annotations(value).items():
        shown = str(kind).removeprefix("ClassVar[").removesuffix("]") if str(kind).startswith("ClassVar") else str(kind)
        if not name.startswith("_") and (said.get(name) or not dataclasses.is_dataclass(value)):
            yield row(f"{name}: {shown}", said.get(name, ""))
    for name, member in vars(value).items():
        if name.startswith("_") and name != "__call__":
            continue
        if isinstance(member, property):
            yield row(name, inspect.getdoc(member) or "")
        function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isfunction(function):
            yield row(signature(name, function), inspect.getdoc(function) or "")


def attribute_docs(value: type) -> dict[str, str]:
    """Attributes' docstrings (a text below an assignment), from the source."""
    import ast
    import textwrap

    try:
        body = ast.parse(textwrap.dedent(inspect.getsource(value))).body[0].body  # type: ignore[attr-defined]
    except (OSError, TypeError):
        return {}
    found = {}
    for one, two in itertools.pairwise(body):
        if isinstance(one, ast.AnnAssign) and isinstance(two, ast.Expr) and isinstance(two.value, ast.Constant):
            found[one.target.id] = str(two.value.value)  # type: ignore[union-attr]
    return found


def row(what: str, text: str) -> str:
    """A line of a table: what it is, and the first paragraph of what is said of it."""
    first = " ".join(inspect.cleandoc(text).split("\n\n")[0].split())
    return f"| `{' '.join(what.split())}` | {first} |".replace(" | None", " \\| None")


def drawn(page: str) -> str:
    """What the page holds between its marks."""
    return page.partition(START)[2].partition(END)[0]


def main() -> None:
    """Write the reference into the page."""
    before, _, rest = PAGE.read_text().partition(START)
    PAGE.write_text(before + START + reference() + END + rest.partition(END)[2])


if __name__ == "__main__":
    main()
