"""CGC: customized gate control (Tang, Liu, Zhao and Gong, RecSys 2020), carried to backbones: every task reads experts of
its own and experts that all tasks share, through a gate of its own. An expert is a whole backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import Field, model_validator
from torch import Tensor, nn

from baselines.experts import Gates, expert, mixture, pooled
from mtlbench.backbones import Backbone, Build
from mtlbench.method import Artefact, Method, Options
from mtlbench.tasks import Task


class ExpertOptions(Options):
    """How many experts there are."""

    shared_experts: int = Field(1, ge=0, le=64, description="How many experts all tasks read.")
    task_experts: int = Field(1, ge=0, le=64, description="How many experts each task has for itself.")

    @model_validator(mode="after")
    def _some(self) -> ExpertOptions:
        if not self.shared_experts + self.task_experts:
            raise ValueError("shared_experts and task_experts are both 0: a task would read nothing")
        return self


class Experts(Method):
    """Columns: backbones that all tasks read, and backbones that one task reads."""

    Options = ExpertOptions
    options: Any

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        self.shared = nn.ModuleList(expert(build, e) for e in range(options.shared_experts))
        own = range(options.shared_experts, options.shared_experts + options.task_experts)
        self.own = nn.ModuleDict({t.name: nn.ModuleList(expert(build, e) for e in own) for t in tasks})
        self.heads = nn.ModuleDict({t.name: build.head(t, self.channels[-1]) for t in tasks})
        gated = options.shared_experts + options.task_experts > 1
        self.reads = nn.ModuleDict(
            {"stem": build.backbone("gates").stem} if gated else {}
        )  # what gates see of an input

    @property
    def channels(self) -> tuple[int, ...]:
        """The features' channels after the stem and after each stage."""
        column = (self.shared or next(iter(self.own.values())))[0]  # type: ignore[index]
        return cast(Backbone, column).channels

    def columns(self, task: str) -> list[Backbone]:
        """The experts that a task reads: its own, then the shared ones."""
        return [*cast(nn.ModuleList, self.own[task]), *self.shared]

    def seen(self, x: Tensor) -> Tensor | None:
        """What the gates see of an input, (B, C); None where every task has one expert."""
        return pooled(self.reads["stem"](x)) if "stem" in self.reads else None

    def described(self, gates: Sequence[Gates]) -> Artefact:
        """The weights that every task gave its experts lately, gate by gate."""
        weights = {t.name: [g.usage(t.name).tolist() for g in gates] for t in self.tasks}
        return Artefact(
            "gates", {"own": self.options.task_experts, "shared": self.options.shared_experts, "weights": weights}
        )


class CGC(Experts):
    """Experts of each task and shared ones; each task reads a mixture of both that its own gate weighs.

    A task's features are `sum_e g_e(x) E_e(x)` over its own and the shared experts (section 4.1).
    """

    name = "cgc"

    def __init__(self, options: ExpertOptions, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        count = options.shared_experts + options.task_experts
        self.gates = build.module("gates", lambda: Gates({t.name: count for t in tasks}, self.channels[0]))

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        seen = self.seen(x)
        shared = [e(x) for e in self.shared]
        out = {}
        for task in tasks:
            own = [e(x) for e in cast(nn.ModuleList, self.own[task])]
            out[task] = self.heads[task](mixture(self.gates(task, seen), [*own, *shared]))
        return out

    def log(self) -> Mapping[str, float]:
        own = self.options.task_experts
        return {f"own.{t.name}": float(self.gates.usage(t.name)[:own].sum()) for t in self.tasks}

    def artefacts(self) -> Sequence[Artefact]:
        return (self.described([self.gates]),)
