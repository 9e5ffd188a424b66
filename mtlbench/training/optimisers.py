"""One turn's optimiser: torch's fused ones over the method's parameter groups, and who may move in the turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence, Set
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtlbench.backbones import Head
from mtlbench.config import RunConfig
from mtlbench.errors import PluginError, unknown
from mtlbench.method import Group, Turn
from mtlbench.training.plan import Segment, rate_factor

ARRIVAL = 20.0
"""A weighting's own parameters move up to this far in a turn's steps: the study's rate, made for weights, gets log
variances less than half a unit far in a short run."""
MOST = 0.1  # their rate in a very short turn

_KINDS: Mapping[str, tuple[type[torch.optim.Optimizer], Mapping[str, Any]]] = {
    "adamw": (torch.optim.AdamW, {"betas": (0.9, 0.999)}),
    "adam": (torch.optim.Adam, {"betas": (0.9, 0.999)}),
    "sgd": (torch.optim.SGD, {"momentum": 0.9}),
}


def match_groups(groups: Sequence[Group], names: Sequence[str]) -> dict[Group, list[str]]:
    """Which parameters each group moves: the longest matching prefix wins, "" takes what no other group names.

    Prefixes match whole components of the module path; one that matches nothing is a PluginError.
    """
    members: dict[Group, list[str]] = {g: [] for g in groups}
    by_length = sorted(groups, key=lambda g: len(g.prefix), reverse=True)
    for name in names:
        owner = next(
            (g for g in by_length if not g.prefix or name == g.prefix or name.startswith(g.prefix + ".")), None
        )
        if owner is not None:
            members[owner].append(name)
    for group, found in members.items():
        if not found and group.prefix:
            tops = {n.split(".")[0] for n in names}
            raise PluginError(str(unknown("parameter group prefix", group.prefix, tops)))
    return members


class TurnOptimizer:
    """The optimiser of one kind of turn; created at its phase's start, it lives through the phase's rounds."""

    def __init__(self, turn: Turn, method: nn.Module, weighting: nn.Module, config: RunConfig) -> None:
        parameters = dict(method.named_parameters())
        self._members = match_groups(turn.groups, list(parameters))
        self.moving = moving(turn, method)
        own = turn.optimizer
        self._lr = own.lr if own.lr is not None else config.lr
        self._schedule = own.schedule if own.schedule is not None else config.schedule
        self._warmup = config.warmup if own.schedule is None else 0.0
        decay = own.weight_decay if own.weight_decay is not None else config.weight_decay
        heads = head_parameters(method)
        self._pace: list[tuple[float, str]] = []  # of each parameter group: times the rate, and its schedule
        self._named: list[str] = []  # and what its rate is called in the record
        groups: list[dict[str, Any]] = []
        for group, names in self._members.items():
            wd = decay if group.weight_decay is None else group.weight_decay
            for some, pace in self._paced(names, group.lr, heads, turn, config):
                groups.append({"params": [parameters[n] for n in some], "weight_decay": wd})
                apart = len(some) < len(names) and heads.issuperset(some)
                self._named.append(f"{group.prefix or 'all'}{' heads' if apart else ''}")
                self._pace.append(pace)
        self.trains_heads = bool(self.moving & heads)
        if self.trains_heads and list(weighting.parameters()):
            groups.append({"params": list(weighting.parameters()), "weight_decay": 0.0})
            self._named.append("weighting")
        betas = {"betas": config.betas} if config.betas and own.name is None and config.optimizer != "sgd" else {}
        self.torch = _make(own.name or config.optimizer, groups, self._lr, {**betas, **(own.options or {})})

    def _paced(
        self, names: Sequence[str], factor: float, heads: Set[str], turn: Turn, config: RunConfig
    ) -> list[tuple[list[str], tuple[float, str]]]:
        """A group's parameters, with the heads' apart where the study has a rate or a schedule for them.

        A turn that sets the rate or the schedule itself sets it for all it moves.
        """
        own = turn.optimizer
        rate = factor * (config.head_lr or 1.0) if own.lr is None else factor
        schedule = (config.head_schedule or self._schedule) if own.schedule is None else self._schedule
        if (rate, schedule) == (factor, self._schedule):
            return [(list(names), (factor, self._schedule))] if names else []
        apart = [n for n in names if n not in heads], [n for n in names if n in heads]
        paces = (factor, self._schedule), (rate, schedule)
        return [(some, pace) for some, pace in zip(apart, paces, strict=True) if some]

    def set_rate(self, segment: Segment, step: int) -> None:
        """The learning rate for a step of the run: a pure function of the turn's own step count."""
        own = segment.turn_step + step - segment.start
        rates = [(self._lr * factor, schedule) for factor, schedule in self._pace]
        if len(self.torch.param_groups) > len(rates):  # the weighting's
            rates.append((min(MOST, ARRIVAL / segment.turn_steps), self._schedule))
        for group, (rate, schedule) in zip(self.torch.param_groups, rates, strict=True):
            group["lr"] = rate * rate_factor(schedule, own, segment.turn_steps, self._warmup)

    @property
    def rates(self) -> dict[str, float]:
        """The learning rates of the turn's last step, by prefix of its parameter groups ("all" where it has none)."""
        return {name: group["lr"] for name, group in zip(self._named, self.torch.param_groups, strict=True)}

    def freeze_others(self, method: nn.Module, weighting: nn.Module) -> None:
        """Only this turn's parameters get gradients; a batch norm without one keeps its running statistics."""
        freeze(method, self.moving)
        for parameter in weighting.parameters():
            parameter.requires_grad_(self.trains_heads)


def rates(optimizers: Sequence[TurnOptimizer]) -> dict[str, float]:
    """The rates of all turns of a phase; a name that several of them have is followed by the turn's number."""
    named = [(name, turn, rate) for turn, o in enumerate(optimizers, 1) for name, rate in o.rates.items()]
    shared = {name for name, count in Counter(name for name, _, _ in named).items() if count > 1}
    return {f"{name} (turn {turn})" if name in shared else name: rate for name, turn, rate in named}


def moving(turn: Turn, method: nn.Module) -> set[str]:
    """Names of the parameters that a turn moves."""
    members = match_groups(turn.groups, [name for name, _ in method.named_parameters()])
    return {name for names in members.values() for name in names}


def freeze(method: nn.Module, moves: set[str]) -> None:
    """Only the parameters of these names get gradients; a batch norm without one keeps its running statistics."""
    for name, parameter in method.named_parameters():
        parameter.requires_grad_(name in moves)
    for module in method.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            own = list(module.parameters(recurse=False))
            module.track_running_stats = not own or any(p.requires_grad for p in own)


def thaw(method: nn.Module) -> None:
    """Undo every freezing."""
    for parameter in method.parameters():
        parameter.requires_grad_(True)
    for module in method.modules():
        if isinstance(module, _BatchNorm) and module.running_mean is not None:
            module.track_running_stats = True


def head_parameters(method: nn.Module) -> set[str]:
    """Names of the parameters that lie in heads."""
    heads = [name for name, module in method.named_modules() if isinstance(module, Head)]
    return {n for n, _ in method.named_parameters() if any(n.startswith(h + ".") for h in heads)}


def _make(name: str, groups: list[dict[str, Any]], lr: float, options: Mapping[str, Any]) -> torch.optim.Optimizer:
    if name not in _KINDS:
        raise unknown("optimizer", name, _KINDS)
    kind, defaults = _KINDS[name]
    try:
        return kind(groups, lr=lr, fused=True, **{**defaults, **options})  # type: ignore[call-arg]
    except TypeError as error:
        raise PluginError(f"optimizer '{name}' with options {dict(options)}: {error}") from error
