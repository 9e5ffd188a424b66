"""Trees of networks: which node of each level a task passes, and the network that is left of a tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtlbench.errors import ConfigError

Path = tuple[int, ...]
"""A task's node at every level, from the input to its head."""


@dataclass(frozen=True)
class Tree:
    """Each task's path. Two tasks at one node have the same nodes before it."""

    paths: Mapping[str, Path]

    def parents(self) -> list[dict[int, int | None]]:
        """For each level the nodes that are used, each with its parent (None: the input)."""
        levels = max(len(p) for p in self.paths.values())
        return [{p[n]: p[n - 1] if n else None for p in self.paths.values()} for n in range(levels)]

    @property
    def nodes(self) -> int:
        """How many nodes are used."""
        return sum(len(level) for level in self.parents())

    def drawn(self, names: Sequence[str]) -> str:
        """The tree as text: a line a level, the tasks at each of its nodes between bars."""
        lines = []
        for level, name in enumerate(names):
            groups: dict[int, list[str]] = {}
            for task, path in self.paths.items():
                groups.setdefault(path[level], []).append(task)
            lines.append(f"{name}: " + " | ".join(", ".join(tasks) for tasks in groups.values()))
        return "\n".join(lines)


def parse_tree(text: str, tasks: Sequence[str], levels: int, columns: int) -> Tree:
    """A tree from one pattern a task, as in "00000,00111": the digit at a place is the node passed at that level.

    Raises ConfigError where a pattern does not fit, or where a node would have two parents.
    """
    rows = [row.strip() for row in text.split(",")]
    if len(rows) != len(tasks):
        raise ConfigError(f"tree '{text}' has {len(rows)} patterns for {len(tasks)} tasks (one a task, by commas)")
    for row in rows:
        if len(row) != levels or not (row.isascii() and row.isdigit()) or max(map(int, row)) >= columns:
            raise ConfigError(f"tree '{row}' does not fit: {levels} digits, each below {columns}, the node at a level")
    parents: dict[tuple[int, str], str] = {}
    for row in rows:
        for level in range(1, levels):
            if parents.setdefault((level, row[level]), row[level - 1]) != row[level - 1]:
                raise ConfigError(f"tree '{text}': node {row[level]} of level {level} has two parents")
    return Tree({t: tuple(map(int, row)) for t, row in zip(tasks, rows, strict=True)})


def likely_tree(choices: Sequence[Tensor], tasks: Sequence[str]) -> Tree:
    """The tree in which every node takes its most likely parent; `choices[l]` are the logits (C, P) of the nodes of level
    l + 1 over those of level l, the last ones the tasks' (T, C)."""
    chosen = [c.argmax(1).tolist() for c in choices]
    paths = {}
    for number, task in enumerate(tasks):
        node, path = chosen[-1][number], []
        path.append(node)
        for level in reversed(chosen[:-1]):
            node = level[node]
            path.append(node)
        paths[task] = tuple(reversed(path))
    return Tree(paths)


def walk(levels: Sequence[Mapping[int, nn.Module]], tree: Tree, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
    """The named tasks' features: every node they pass runs once."""
    reached: dict[Path, Tensor] = {(): x}
    for level, nodes in enumerate(levels):
        wanted = dict.fromkeys(tree.paths[t][: level + 1] for t in tasks)
        reached = {path: nodes[path[-1]](reached[path[:-1]]) for path in wanted}
    return {t: reached[tree.paths[t]] for t in tasks}


class Pruned(nn.Module):
    """The nodes that some task passes, and the heads; it shares its modules with the network it was made from."""

    def __init__(self, levels: Sequence[Mapping[int, nn.Module]], heads: nn.ModuleDict, tree: Tree) -> None:
        super().__init__()
        used = [sorted(level) for level in tree.parents()]
        self.levels = nn.ModuleList(
            nn.ModuleDict({str(n): nodes[n] for n in own}) for nodes, own in zip(levels, used, strict=True)
        )
        self.heads = heads
        self.tree = tree

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        levels = [{int(n): module for n, module in level.items()} for level in self.levels]  # type: ignore[operator]
        features = walk(levels, self.tree, x, tasks)
        return {t: self.heads[t](features[t]) for t in tasks}


def mixed_level(nodes: Sequence[nn.Module], weights: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
    """What the nodes of a level make of the mixtures `sum_j weights[i, j] features[j]` of the level before."""
    return [node(mix(row, features)) for node, row in zip(nodes, weights.unbind(), strict=True)]


def mix(weights: Tensor, features: Sequence[Tensor]) -> Tensor:
    """`sum_j weights[j] features[j]`."""
    total = weights[0].to(features[0].dtype) * features[0]
    for w, f in zip(weights[1:].unbind(), features[1:], strict=True):
        total = torch.addcmul(total, w.to(f.dtype), f)
    return total
