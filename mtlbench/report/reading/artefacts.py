"""The trees that runs keep beside their records: whatever method wrote one, and nothing that is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtlbench.report.text import clean

LIMIT = 2**20  # bytes of a tree's file that are read
MOST = 256  # levels, and tasks


@dataclass(frozen=True)
class Tree:
    """Each task's node at every level, from the input on: `paths` are (tasks, levels)."""

    levels: tuple[str, ...]
    tasks: tuple[str, ...]
    paths: tuple[tuple[int, ...], ...]


def read_tree(path: Path | None) -> Tree | None:
    """The tree in an artefact's file; None where there is none or it is not one."""
    if path is None or path.stat().st_size > LIMIT:
        return None
    try:
        return _tree(json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError, OverflowError):
        return None


def _tree(data: Any) -> Tree:
    levels = tuple(clean(n, 30) for n in data["levels"])
    tasks = tuple(clean(t, 60) for t in data["paths"])
    paths = tuple(tuple(int(n) for n in path) for path in data["paths"].values())
    parents: dict[tuple[int, int], int] = {}
    for path in paths:
        for level in range(1, len(path)):
            if parents.setdefault((level, path[level]), path[level - 1]) != path[level - 1]:
                raise ValueError("a node has two parents")
    if not levels or not tasks or {len(p) for p in paths} != {len(levels)} or max(len(levels), len(tasks)) > MOST:
        raise ValueError("not a tasks x levels table")
    return Tree(levels, tasks, paths)
