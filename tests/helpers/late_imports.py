"""Imports that do not stand at a file's top: inside functions, and for type checkers only.

`python -m tests.helpers.late_imports [FOLDER ...]` prints them and how many there are.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

Function = ast.FunctionDef | ast.AsyncFunctionDef


def in_functions(source: str) -> dict[str, list[str]]:
    """The imports inside each function of a source that has any, outermost functions by name and line."""
    return {f"{f.name}:{f.lineno}": found for f in _outermost(ast.parse(source)) if (found := _imports(f))}


def _outermost(node: ast.AST) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            yield child
        else:
            yield from _outermost(child)


def _imports(function: Function) -> list[str]:
    return [ast.unparse(n) for n in ast.walk(function) if isinstance(n, ast.Import | ast.ImportFrom)]


def guards(source: str) -> int:
    """The `if TYPE_CHECKING:` blocks of a source."""
    return sum(isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test) for n in ast.walk(ast.parse(source)))


def main(folders: list[str]) -> None:
    """Print every import inside a function, and the counts."""
    late = blocks = 0
    for file in sorted(f for folder in folders for f in Path(folder).rglob("*.py")):
        source = file.read_text()
        for function, found in in_functions(source).items():
            print(*(f"{file} {function} {line}" for line in found), sep="\n")
            late += len(found)
        blocks += guards(source)
    print(f"{late} imports inside functions, {blocks} blocks for type checkers")


if __name__ == "__main__":
    main(sys.argv[1:] or ["mtlbench"])
