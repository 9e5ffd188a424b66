"""Learning to Branch (Guo, Lee and Ulbricht, ICML 2020, arXiv 2006.01895): a tree of networks whose branches are learned.

Every level of the backbone (a stage, or a block) has several nodes; each chooses its parent among the nodes of the level
before by Gumbel-softmax, and each task its last node. The most likely tree is retrained, and its nodes alone are shipped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from baselines.experts import expert
from baselines.tree import Pruned, Tree, likely_tree, mix, mixed_level, parse_tree, walk
from mtlbench.backbones import Backbone, Build
from mtlbench.method import (
    Artefact,
    Budget,
    Group,
    Knob,
    Method,
    Optimizer,
    Options,
    Phase,
    Turn,
    positive_turns,
    split_turns,
)
from mtlbench.seeding import generator
from mtlbench.tasks import Task

SEARCH, RETRAIN = "search", "retrain"
WEIGHTS = ("columns", "heads")
MOST_COLUMNS = 10
"""A tree is written with one digit a node."""


class LTBOptions(Options):
    """The nodes, and how the search is spent."""

    nodes: int | None = Field(
        None, ge=1, le=MOST_COLUMNS, description="How many nodes a level has; null is one a task, 10 at most."
    )
    level: Literal["stage", "block"] = Field(
        "stage", description="What a level is: a stage of the backbone, or a block."
    )
    search: float = Field(
        0.5, ge=0, lt=1, description="The fraction of the budget that learns the tree; the rest retrains it."
    )
    turns: tuple[int, int] = Field((4, 1), description="Steps of the search's turns of weights and of choices.")
    temperature: float = Field(5.0, gt=0, le=1e6, description="The temperature of the choices where the search starts.")
    temperature_end: float = Field(
        0.5, gt=0, le=1e6, description="The temperature where it ends; it falls by a factor a round."
    )
    logits_lr: Annotated[float, Knob(0.02, 0.5)] = Field(
        0.1, gt=0, le=1e3, description="The learning rate of the choices' Adam."
    )
    tree: str | None = Field(
        None,
        description="A fixed tree, one pattern a task (00000,00111: the node at each level, from the stem), no search.",
    )

    _split = field_validator("turns", mode="before")(split_turns)
    _positive = field_validator("turns")(positive_turns)

    @field_validator("tree", mode="before")
    @classmethod
    def _text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


class LTB(Method):
    """A learned tree: tasks share the stages up to where their branches part.

    C columns of nodes; which node follows which is learned, and every task ends at one of the last.
    """

    name = "ltb"
    Options = LTBOptions
    options: LTBOptions
    passed: Tensor

    def __init__(self, options: LTBOptions, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        count = options.nodes or min(len(tasks), MOST_COLUMNS)
        self.columns = nn.ModuleList(expert(build, c) for c in range(count))
        self.heads = nn.ModuleDict({t.name: build.head(t, cast(Backbone, self.columns[0]).channels[-1]) for t in tasks})
        shapes = [(count, count)] * (len(self.names) - 1) + [(len(tasks), count)]
        self.choices = nn.ParameterList(nn.Parameter(torch.zeros(shape)) for shape in shapes)
        # The decided tree: each task's node at every level. Until there is one, all tasks pass the first column.
        self.register_buffer("passed", torch.zeros(len(tasks), len(self.names), dtype=torch.long))
        self._read: tuple[Tensor, int, Tree] | None = None
        if options.tree is not None:
            fixed = parse_tree(options.tree, [t.name for t in tasks], len(self.names), count)
            self.passed.copy_(torch.tensor(list(fixed.paths.values())))

    @property
    def names(self) -> list[str]:
        """The levels' names, from the stem on."""
        first = cast(Backbone, self.columns[0])
        unit = first.stages if self.options.level == "stage" else first.blocks
        return ["stem", *(f"{self.options.level} {n}" for n in range(1, len(unit) + 1))]

    def levels(self) -> list[dict[int, nn.Module]]:
        """The nodes of every level, by their column."""
        columns = [cast(Backbone, c) for c in self.columns]
        units = [[c.stem, *(c.stages if self.options.level == "stage" else c.blocks)] for c in columns]
        return [dict(enumerate(nodes)) for nodes in zip(*units, strict=True)]

    # ------------------------------------------------------------------ phases

    def phases(self, budget: Budget) -> tuple[Phase, ...]:
        if self.options.tree is not None:
            return (Phase(RETRAIN, budget.steps, (self._weights("train"),), final=True),)
        steps, (weights, choices) = self._searched(budget), self.options.turns
        adam = Optimizer("adam", lr=self.options.logits_lr, weight_decay=0.0, schedule="constant")
        turns = (self._weights("train-a", weights), Turn((Group("choices"),), "train-b", choices, adam))
        search = (Phase(SEARCH, steps, turns),) if steps else ()
        return (*search, Phase(RETRAIN, budget.steps - steps, (self._weights("train"),), WEIGHTS, final=True))

    def _searched(self, budget: Budget) -> int:
        """The steps of the search."""
        return min(round(self.options.search * budget.steps), max(0, budget.steps - 1))

    def _weights(self, part: Any, steps: int | None = None) -> Turn:
        return Turn((Group("columns"), Group("heads")), part, steps)

    def start(self, phase: Phase, scores: Mapping[str, float]) -> None:
        if phase.name == RETRAIN and self.options.tree is None:
            self.passed.copy_(torch.tensor(list(self.likely().paths.values())))

    # --------------------------------------------------------------- execution

    def likely(self) -> Tree:
        """The tree of the most likely choices."""
        return likely_tree([c.detach() for c in self.choices], [t.name for t in self.tasks])

    def tree(self) -> Tree:
        """The tree that a network deployed now would be: the decided one, in the search the most likely."""
        return self.likely() if self.where.phase == SEARCH else self._decided()

    def _decided(self) -> Tree:
        """The decided tree. Remembered: reading it off an accelerator would stall every step."""
        if self._read is not None and self._read[0] is self.passed and self._read[1] == self.passed._version:
            return self._read[2]
        tree = Tree({t.name: tuple(row) for t, row in zip(self.tasks, self.passed.tolist(), strict=True)})
        if not self.passed.is_inference():  # inference tensors count no versions
            self._read = (self.passed, self.passed._version, tree)
        return tree

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        searching = self.training and self.where.phase == SEARCH
        features = self._sampled(x, tasks) if searching else walk(self.levels(), self.tree(), x, tasks)
        return {t: self.heads[t](features[t]) for t in tasks}

    def temperature(self) -> float:
        """tau of the running round; it falls from `temperature` to `temperature_end` over the search."""
        start, end = self.options.temperature, self.options.temperature_end
        rounds = -(-self._searched(self.budget) // sum(self.options.turns))
        return float(start * (end / start) ** (self.where.round / max(1, rounds - 1)))

    def weights(self) -> list[Tensor]:
        """The Gumbel-softmax sample of this step's choices, rows sum to 1; the same in each of its forward passes."""
        random = generator("gumbel", self.build.seed, self.where.step)
        return [relaxed(c, self.temperature(), random) for c in self.choices]

    def _sampled(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        first, *later = ([*nodes.values()] for nodes in self.levels())
        *between, last = self.weights()
        features = [node(x) for node in first]
        for nodes, weights in zip(later, between, strict=True):
            features = mixed_level(nodes, weights, features)
        names = [t.name for t in self.tasks]
        return {t: mix(last[names.index(t)], features) for t in tasks}

    def deployed(self) -> Pruned:
        return Pruned(self.levels(), self.heads, self.tree())

    # ----------------------------------------------------------------- records

    def log(self) -> Mapping[str, float]:
        certain = [c.detach().softmax(1).amax(1).mean().item() for c in self.choices]
        values = {"nodes": float(self.tree().nodes), "certainty": sum(certain) / len(certain)}
        return values | ({"temperature": self.temperature()} if self.where.phase == SEARCH else {})

    def artefacts(self) -> Sequence[Artefact]:
        tree = self.tree()
        data = {
            "levels": self.names,
            "paths": {t: list(path) for t, path in tree.paths.items()},
            "nodes": tree.nodes,
            "drawn": tree.drawn(self.names),
            "probabilities": [c.detach().softmax(1).tolist() for c in self.choices],
        }
        return (Artefact("tree", data),)


def relaxed(logits: Tensor, temperature: float, random: torch.Generator) -> Tensor:
    """A Gumbel-softmax sample of every row of `logits` (section 3.2), differentiable in them."""
    uniform = torch.rand(logits.shape, generator=random, dtype=torch.float64).clamp(min=torch.finfo(torch.float64).tiny)
    noise = -torch.log(-torch.log(uniform))
    return ((logits.log_softmax(1) + noise.to(logits)) / temperature).softmax(1)
