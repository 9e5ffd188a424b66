"""Which of a run's networks is deployed: the rules, and what each has chosen so far."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from mtlbench.config import RunConfig
from mtlbench.method import Where


@dataclass
class Selected:
    """The weights to deploy, so far, and where training stood."""

    where: Where
    weights: dict[str, Tensor]


def rules(config: RunConfig) -> tuple[str, ...]:
    """The rules by which a run chooses what it would deploy, its own first; a trial never looks at test."""
    if config.role == "tune":
        return ("last" if config.selection == "last" else "best-val",)
    return tuple(dict.fromkeys((config.selection, *config.also)))


def judge(rule: str) -> str:
    """The split whose score a rule goes by."""
    return "test" if rule == "best-test-oracle" else "val"
