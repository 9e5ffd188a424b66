"""DEN: deep elastic networks with model selection for multi-task learning (Ahn, Kim and Oh, ICCV 2019).

No public code of it is known. This is the reading of docs/methods/den.md: one backbone whose residual blocks run with the
first 0, 25, 50 or 100 % of their middle channels, and a selector that learns by REINFORCE which level each task uses.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, cast

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from baselines.elastic import LEVEL_FRACTIONS, TOP, ElasticBranch
from mtlbench.backbones import Backbone, Block, Build
from mtlbench.method import Artefact, Budget, Group, Knob, Method, Optimizer, Options, Phase, Turn
from mtlbench.tasks import Task

ELASTIC, SETTLED = "elastic", "settled"
SELECTOR_TURN = 1
Levels = tuple[int, ...]
"""One level a block."""


class DENOptions(Options):
    """What a channel costs, and how the budget is spent."""

    cost: Annotated[float, Knob(0.01, 1.0)] = Field(
        0.1,
        ge=0,
        le=1e6,
        description="What using all of the branches' weights costs in the reward, against a task's loss.",
    )
    settle: float = Field(
        0.25, ge=0, lt=1, description="The fraction of the budget, at its end, that trains the levels chosen."
    )
    weights_turn: int = Field(3, ge=1, le=10**6, description="Steps of a turn of the weights, before that.")
    selector_turn: int = Field(1, ge=1, le=10**6, description="Steps of a turn of the selector.")
    selector_lr: float = Field(0.05, gt=0, le=1e3, description="The learning rate of the selector's Adam.")


class Network(nn.Module):
    """An elastic backbone and a head a task."""

    def __init__(self, backbone: Backbone, heads: nn.ModuleDict) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = heads

    def forward(self, x: Tensor, levels: Mapping[str, Levels]) -> dict[str, Tensor]:
        """The outputs of the tasks named in `levels`, each at its own; what their first blocks share runs once."""
        reached: dict[Levels, Tensor] = {(): self.backbone.stem(x)}
        for index, block in enumerate(self.backbone.blocks):
            paths = dict.fromkeys(own[: index + 1] for own in levels.values())
            reached = {path: run(block, reached[path[:-1]], path[-1]) for path in paths}
        return {task: self.heads[task](reached[own]) for task, own in levels.items()}

    def forward_each(self, x: Tensor, levels: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same with levels (B, L) of every image's own; for eval mode, where images do not see each other."""
        stem = self.backbone.stem(x)
        out = {}
        for task, own in levels.items():
            features = stem
            for block, chosen in zip(self.backbone.blocks, own.unbind(1), strict=True):
                features = run_each(block, features, chosen)
            out[task] = self.heads[task](features)
        return out


def run(block: Block, x: Tensor, level: int) -> Tensor:
    """A block at a level; at level 0 only its shortcut."""
    x = block.begin(x)
    shortcut = block.shortcut(x)
    return block.end(shortcut + block.branch(x, level) if level else shortcut)


def run_each(block: Block, x: Tensor, levels: Tensor) -> Tensor:
    """A block at each image's own level (B,): the images of a level together."""
    places = [(levels == level).nonzero().flatten() for level in range(len(LEVEL_FRACTIONS))]
    parts = [run(block, x[place], level) for level, place in enumerate(places) if len(place)]
    return torch.cat(parts)[torch.cat(places).argsort()]


class Selector(nn.Module):
    """For each task the logits of every block's levels, (L, 4); they start equal."""

    def __init__(self, tasks: Iterable[str], blocks: int) -> None:
        super().__init__()
        self.logits = nn.ParameterDict({t: torch.zeros(blocks, len(LEVEL_FRACTIONS)) for t in tasks})

    def probabilities(self, task: str) -> Tensor:
        """(L, 4)."""
        return F.softmax(self.logits[task].detach(), dim=1)

    def draw(self, task: str, count: int) -> Tensor:
        """`count` independent draws of all blocks' levels, (count, L)."""
        return torch.multinomial(self.probabilities(task).cpu(), count, replacement=True).T

    def log_probability(self, task: str, levels: Tensor) -> Tensor:
        """The log-probability of each row of `levels` (B, L): (B,)."""
        return looked_up(F.log_softmax(self.logits[task], dim=1), levels)

    def likely(self, task: str) -> Levels:
        """The most likely levels; the larger of equal ones."""
        backwards = self.logits[task].detach().flip(1).argmax(1)
        return tuple((TOP - backwards).tolist())


def looked_up(table: Tensor, levels: Tensor) -> Tensor:
    """The sum over blocks of what `table` (L, 4) holds for each row of `levels` (B, L): (B,)."""
    return table.expand(len(levels), -1, -1).gather(2, levels[:, :, None]).sum((1, 2))


def reinforce(log_probability: Tensor, reward: Tensor) -> Tensor:
    """A loss whose gradient is an unbiased estimate of minus that of the expected reward; both (B,), B draws.

    REINFORCE (Williams 1992); each draw's baseline is the mean reward of the others, which it does not depend on.
    """
    count = len(reward)
    others = (reward.sum() - reward) / max(count - 1, 1)
    return -((reward - others).detach() * log_probability).mean()


class DEN(Method):
    """One elastic backbone; a selector decides how much of each block a task uses."""

    name = "den"
    Options = DENOptions
    divisible = False  # every image has a draw of its own

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        backbone = build.backbone()
        for block in backbone.blocks:
            block.branch = ElasticBranch.of(block.branch, build)
        heads = nn.ModuleDict({t.name: build.head(t, backbone.channels[-1]) for t in tasks})
        self.network = Network(backbone, heads)
        self.selector = Selector([t.name for t in tasks], len(backbone.blocks))
        self.register_buffer("sizes", sizes(backbone.blocks), persistent=False)
        self._drawn: dict[str, Tensor] = {}  # the levels that this step's losses belong to, (B, L)

    @property
    def selecting(self) -> bool:
        """Whether the running turn trains the selector."""
        return self.training and self.where.phase == ELASTIC and self.where.turn == SELECTOR_TURN

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        if self.selecting:
            return self._explore(x, tasks)
        if self.training and self.where.phase == ELASTIC:
            drawn = {t: tuple(self.selector.draw(t, 1)[0].tolist()) for t in tasks}
            return self.network(x, drawn)  # type: ignore[no-any-return]
        return self.network(x, {t: self.selector.likely(t) for t in tasks})  # type: ignore[no-any-return]

    def _explore(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        """Levels drawn for every image, and the network judged as it would be deployed: in eval mode."""
        drawn = {t: self.selector.draw(t, len(x)).to(x.device) for t in tasks}
        self._drawn.update(drawn)
        with evaluating(self.network), torch.no_grad():
            return self.network.forward_each(x, drawn)

    def loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        if not self.selecting:
            return super().loss(losses)
        terms = [self._selector_loss(task, each.detach()) for task, each in losses.items()]
        return torch.stack(terms).sum()

    def _selector_loss(self, task: str, losses: Tensor) -> Tensor:
        """REINFORCE on `-(loss) - cost * size`, image by image."""
        levels = self._drawn.pop(task)
        reward = -len(losses) * losses - self.options.cost * self.size(levels)
        return reinforce(self.selector.log_probability(task, levels), reward)

    def size(self, levels: Tensor) -> Tensor:
        """The fraction of the branches' weights that levels (B, L) use: (B,)."""
        return looked_up(cast(Tensor, self.sizes), levels)

    def phases(self, budget: Budget) -> tuple[Phase, ...]:
        settled = min(round(self.options.settle * budget.steps), budget.steps - 1)
        weights = (Group("network"),)
        own = Optimizer("adam", lr=self.options.selector_lr, weight_decay=0.0, schedule="constant")
        turns = (
            Turn(weights, steps=self.options.weights_turn),
            Turn((Group("selector"),), steps=self.options.selector_turn, optimizer=own),
        )
        elastic = Phase(ELASTIC, budget.steps - settled, turns, final=settled == 0)
        return (elastic, Phase(SETTLED, settled, (Turn(weights),), final=True)) if settled else (elastic,)

    def deployed(self) -> nn.Module:
        return Decided(self.network, {t.name: self.selector.likely(t.name) for t in self.tasks})

    def log(self) -> Mapping[str, float]:
        fractions = torch.tensor(LEVEL_FRACTIONS)
        logged = {}
        for task in self.selector.logits:
            p = self.selector.probabilities(task).cpu()
            logged[f"share.{task}"] = (p @ fractions).mean().item()
            logged[f"entropy.{task}"] = -(p * p.clamp_min(1e-12).log()).sum(1).mean().item()
        return logged

    def artefacts(self) -> Sequence[Artefact]:
        tasks = {
            t: {
                "share": [LEVEL_FRACTIONS[level] for level in self.selector.likely(t)],
                "probabilities": self.selector.probabilities(t).tolist(),
            }
            for t in self.selector.logits
        }
        return (Artefact("levels", {"shares": LEVEL_FRACTIONS, "tasks": tasks}),)


class Decided(nn.Module):
    """The network at each task's chosen levels: it holds no channel and no norm that no task uses."""

    def __init__(self, network: Network, levels: Mapping[str, Levels]) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.levels = dict(levels)
        for block, used in zip(self.network.backbone.blocks, zip(*levels.values(), strict=True), strict=True):
            block.branch = cast(ElasticBranch, block.branch).trimmed(used)

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        return self.network(x, {t: self.levels[t] for t in tasks})  # type: ignore[no-any-return]


def sizes(blocks: Sequence[Block]) -> Tensor:
    """(L, 4): each level's fraction of all branches' weights."""
    branches = [cast(ElasticBranch, block.branch) for block in blocks]
    table = torch.tensor([[float(b.weights(level)) for level in range(len(LEVEL_FRACTIONS))] for b in branches])
    return table / table[:, TOP].sum()


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Run a block with a module in eval mode."""
    training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(training)
