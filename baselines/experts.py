"""What mixtures of experts have in common: gates over experts, and the mixture itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import cast

import torch
from torch import Tensor, nn

from mtlbench.backbones import Backbone, Build

USAGE_RATE = 0.05
"""How much of a gate's remembered weights a training step replaces."""


def pooled(features: Tensor) -> Tensor:
    """Features (B, C, ...) averaged over positions, (B, C)."""
    return features.flatten(2).mean(2) if features.dim() > 2 else features


def mixture(weights: Tensor, experts: Sequence[Tensor]) -> Tensor:
    """`sum_e weights[:, e] * experts[e]`; weights (B, E) or (1, E), each expert (B, C, ...). One expert is itself."""
    if len(experts) == 1:
        return experts[0]
    places = [1] * (experts[0].dim() - 1)
    products = [w.view(-1, *places).to(f.dtype) * f for w, f in zip(weights.unbind(1), experts, strict=True)]
    return reduce(torch.add, products)


class Gates(nn.Module):
    """A softmax gate for each of several readers: `softmax(W x)` over the experts it may read (MMoE, equation 7).

    `counts` says how many these are; a reader of one expert needs no gate. Gates start near equal weights.
    """

    def __init__(self, counts: Mapping[str, int], inputs: int) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({r: nn.Linear(inputs, n, bias=False) for r, n in counts.items() if n > 1})
        for layer in self.layers.values():
            nn.init.normal_(cast(nn.Linear, layer).weight, std=0.01)
        for reader, count in counts.items():  # what a gate gave each expert in training, remembered for the record
            self.register_buffer(f"usage_{reader}", torch.full((count,), 1 / count))

    def forward(self, reader: str, x: Tensor | None) -> Tensor:
        """The weights (B, E) that a reader gives its experts for pooled features `x` (B, inputs); ones (1, 1) of one."""
        usage = self.usage(reader)
        if len(usage) == 1:
            return usage.new_ones(1, 1)
        assert x is not None
        weights: Tensor = self.layers[reader](x).softmax(1)
        if self.training:
            usage.lerp_(weights.detach().mean(0).to(usage), USAGE_RATE)
        return weights

    def usage(self, reader: str) -> Tensor:
        """The weights a reader gave its experts lately, (E,)."""
        return cast(Tensor, getattr(self, f"usage_{reader}"))


def expert(build: Build, index: int) -> Backbone:
    """The backbone of the index-th expert that a task reads: the first starts as hard sharing's, the others elsewhere.

    Between experts that are equal a gate has no gradient.
    """
    return build.backbone("backbone" if index == 0 else f"backbone.{index}")
