"""Control for AdaShare: stochastic depth (Huang et al., ECCV 2016, arXiv 1603.09382) on one shared backbone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from mtlbench.backbones import Backbone, Build
from mtlbench.method import Knob, Method, Options
from mtlbench.seeding import generator
from mtlbench.tasks import Task


class StochasticDepthOptions(Options):
    """How much is dropped."""

    drop: Annotated[float, Knob(0.1, 0.7, log=False)] = Field(
        0.5, ge=0, le=1, description="The probability that the last block is dropped; earlier ones by their depth."
    )


def survival(blocks: int, drop: float) -> list[float]:
    """p_l = 1 - drop l / L for l = 1..L (equation 4)."""
    return [1.0 - drop * depth / blocks for depth in range(1, blocks + 1)]


class StochasticDepth(Method):
    """Hard sharing whose blocks run with probability p_l in a training step, for all tasks alike; the expectation after.

    Training: x = ReLU(S(x) + b_l F(x)), b_l in {0, 1} (equation 2); else x = ReLU(S(x) + p_l F(x)) (equation 5).
    """

    name = "stochastic-depth"
    Options = StochasticDepthOptions
    options: StochasticDepthOptions

    def __init__(self, options: StochasticDepthOptions, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__(options, build, tasks)
        self.backbone: Backbone = build.backbone()
        self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        x = self.backbone.stem(x)
        for block, scale in zip(self.backbone.blocks, self._scales(), strict=True):
            x = block.begin(x)
            shortcut = block.shortcut(x)
            x = block.end(shortcut + scale * block.residual(x) if scale else shortcut)
        return {t: self.heads[t](x) for t in tasks}

    def _scales(self) -> list[float]:
        """b_l in training, one draw a step; p_l otherwise."""
        chances = survival(len(self.backbone.blocks), self.options.drop)
        if not self.training:
            return chances
        draws = torch.rand(len(chances), generator=generator("stochastic-depth", self.build.seed, self.where.step))
        return [float(draw < chance) for draw, chance in zip(draws.tolist(), chances, strict=True)]
