"""The execution engine: one shared backbone, run as a policy says, with nothing computed twice and nothing in vain.

Tasks travel together as one `Path` for as long as their computation is the same. At a block a path's shortcut runs
once, its residual branch once if any of its tasks wants it, and the path forks where decisions differ. So a block that
nobody selects is not executed, a common prefix is computed once, and each batch norm is updated once per distinct
computation, in task order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mtlbench.backbones import Block

Choice = bool | Tensor
"""What a task does at a block: execute, skip, or mix both by a weight (a tensor without dimensions)."""
Decisions = Mapping[str, Sequence[Choice]]
"""Every task's choices, block by block."""


@dataclass
class Path:
    """Tasks whose computation has been one and the same so far, and their features (B, C, h, w)."""

    tasks: tuple[str, ...]
    x: Tensor


def execute(
    stem: nn.Module, blocks: Sequence[Block], x: Tensor, decisions: Decisions, share: bool = True
) -> dict[str, Tensor]:
    """Each task's last features for one input batch (B, *shape).

    Per block x_{l+1} = v end(S(x_l) + F(x_l)) + (1 - v) S(x_l) (section 3). Without `share` every task makes its own
    pass, and batch norms on a common prefix are updated once a task (as AdaShare's release does).
    """
    together = [tuple(decisions)] if share else [(task,) for task in decisions]
    paths = [Path(tasks, stem(x)) for tasks in together]
    for index, block in enumerate(blocks):
        paths = _advance(block, paths, {task: row[index] for task, row in decisions.items()})
    last = {task: path.x for path in paths for task in path.tasks}
    return {task: last[task] for task in decisions}


def _advance(block: Block, paths: Sequence[Path], choices: Mapping[str, Choice]) -> list[Path]:
    """Every path through one block; forked paths come out in task order."""
    begun = [block.begin(path.x) for path in paths]
    shortcuts = [block.shortcut(x) for x in begun]
    order = {task: place for place, task in enumerate(choices)}
    wanted: dict[int, int] = {}  # path -> its first task that executes: batch norms are updated in task order
    for number, path in enumerate(paths):
        runs = [order[task] for task in path.tasks if choices[task] is not False]
        if runs:
            wanted[number] = min(runs)
    full: dict[int, Tensor] = {}
    for number in sorted(wanted, key=wanted.__getitem__):
        full[number] = block.end(shortcuts[number] + block.residual(begun[number]))
    out: list[Path] = []
    for number, path in enumerate(paths):
        out += _fork(path.tasks, choices, shortcuts[number], full.get(number))
    return sorted(out, key=lambda path: order[path.tasks[0]])


def _fork(tasks: Sequence[str], choices: Mapping[str, Choice], skipped: Tensor, full: Tensor | None) -> list[Path]:
    """A path's tasks after a block, whose two ends are `skipped` = S(x) and `full` = end(S(x) + F(x))."""
    paths = []
    for decided, x in ((True, full), (False, skipped)):
        same = tuple(task for task in tasks if choices[task] is decided)
        if same:
            assert x is not None
            paths.append(Path(same, x))
    for task in tasks:
        choice = choices[task]
        if isinstance(choice, Tensor):
            assert full is not None
            paths.append(Path((task,), torch.lerp(skipped, full, choice.to(full.dtype))))
    return paths


class Skipped(Block):
    """What is left of a block that no task executes: its projection, or nothing."""

    def __init__(self, block: Block) -> None:
        super().__init__(nn.Identity(), block.projection, block.entry)

    def residual(self, x: Tensor) -> Tensor:
        raise NotImplementedError("no task executes this block")


class CompactNetwork(nn.Module):
    """The compact network of a decided policy: stem, blocks that some task executes, projections and heads.

    It shares its modules with the network it was made from; its output in eval is the same.
    """

    def __init__(
        self, stem: nn.Module, blocks: Sequence[Block], heads: nn.ModuleDict, policy: Mapping[str, Sequence[bool]]
    ) -> None:
        super().__init__()
        self.policy = {task: tuple(row) for task, row in policy.items()}
        used = [any(row[index] for row in self.policy.values()) for index in range(len(blocks))]
        self.stem = stem
        self.blocks = nn.ModuleList(block if u else Skipped(block) for block, u in zip(blocks, used, strict=True))
        self.heads = heads

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        """The named tasks' outputs for one input batch (B, *shape); only what they need is computed."""
        rows = {task: row for task, row in self.policy.items() if task in tasks}
        features = execute(self.stem, list(self.blocks), x, rows)  # type: ignore[arg-type]
        return {task: self.heads[task](features[task]) for task in tasks}
