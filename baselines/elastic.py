"""Residual branches that run with a fraction of their middle channels: what DEN's backbone is made of."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from mtlbench.backbones import Build

LEVEL_FRACTIONS = (0.0, 0.25, 0.5, 1.0)
"""A level's fraction of a branch's middle channels: always the first ones, so that the levels are nested."""
TOP = len(LEVEL_FRACTIONS) - 1
Convolution = nn.Conv1d | nn.Conv2d


class ElasticBranch(nn.Module):
    """A residual branch (convolutions, each with its norm, and activations) that runs at any of its levels but 0.

    `outputs` are the channels of every convolution at each level. Every level has batch norms of its own: the last one's
    input is a sum over as many middle channels as the level has, so that shared statistics would fit none.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        norms: Mapping[int, Sequence[nn.Module]],
        outputs: Mapping[int, tuple[int, ...]],
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)  # an Identity stands where a norm belongs
        self.norms = nn.ModuleDict({str(level): nn.ModuleList(own) for level, own in norms.items()})
        self.outputs = dict(outputs)

    @classmethod
    def of(cls, branch: nn.Sequential, build: Build) -> ElasticBranch:
        """The elastic form of a plain branch: the top level is the branch itself, the others start as parts of it."""
        convs = [m for m in branch if isinstance(m, Convolution)]
        plain = [norm for layer, norm in pairwise(branch) if isinstance(layer, Convolution)]
        outputs = {level: _outputs(convs, level) for level in range(1, TOP + 1)}
        norms = {
            level: plain if level == TOP else [_narrowed(n, c, build) for n, c in zip(plain, own, strict=True)]
            for level, own in outputs.items()
        }
        return cls([nn.Identity() if m in plain else m for m in branch], norms, outputs)

    def forward(self, x: Tensor, level: int) -> Tensor:
        norms, outputs = iter(cast(nn.ModuleList, self.norms[str(level)])), iter(self.outputs[level])
        for layer in self.layers:
            if isinstance(layer, Convolution):
                x = _first(layer, x, next(outputs))
            else:
                x = next(norms)(x) if isinstance(layer, nn.Identity) else layer(x)
        return x

    @property
    def convolutions(self) -> list[Convolution]:
        """The branch's convolutions, in order."""
        return [m for m in self.layers if isinstance(m, Convolution)]

    def weights(self, level: int) -> int:
        """How many of the convolutions' weights a level uses."""
        if level == 0:
            return 0
        outputs, convs = self.outputs[level], self.convolutions
        inputs = (convs[0].in_channels, *outputs)
        return sum(o * i * c.weight[0, 0].numel() for c, o, i in zip(convs, outputs, inputs, strict=False))

    def trimmed(self, levels: Sequence[int]) -> ElasticBranch:
        """A copy that runs at these levels alone, and holds no norm and no channel that they do not use."""
        used = sorted({level for level in levels if level})
        if not used:
            return ElasticBranch([], {}, {})
        largest = iter(self.outputs[used[-1]])
        layers: list[nn.Module] = []
        inputs = self.convolutions[0].in_channels
        for layer in self.layers:
            if isinstance(layer, Convolution):
                outputs = next(largest)
                layers.append(_cut(layer, inputs, outputs))
                inputs = outputs
            else:
                layers.append(copy.deepcopy(layer))
        norms = {level: copy.deepcopy(cast(nn.ModuleList, self.norms[str(level)])) for level in used}
        return ElasticBranch(layers, {n: list(own) for n, own in norms.items()}, {n: self.outputs[n] for n in used})


def _outputs(convs: Sequence[Convolution], level: int) -> tuple[int, ...]:
    """The channels after each convolution at a level: the middle ones' fraction of them, and all of the last one's."""
    *middle, last = (c.out_channels for c in convs)
    return (*(max(1, round(LEVEL_FRACTIONS[level] * c)) for c in middle), last)


def _narrowed(norm: nn.Module, channels: int, build: Build) -> nn.Module:
    """A norm of the first `channels` channels, which starts as `norm` does on them."""
    narrow = build.norm(channels)
    narrow.load_state_dict({key: v[:channels] if v.dim() else v for key, v in norm.state_dict().items()})
    return narrow


def _first(conv: Convolution, x: Tensor, outputs: int) -> Tensor:
    """A convolution of the first output channels over the first input channels, as many as there are in `x`."""
    convolve = F.conv2d if isinstance(conv, nn.Conv2d) else F.conv1d
    weight = conv.weight[:outputs, : x.shape[1]]
    return convolve(x, weight, None, conv.stride, conv.padding, conv.dilation)


def _cut(conv: Convolution, inputs: int, outputs: int) -> Convolution:
    """A copy of a convolution between its first channels alone."""
    small = copy.deepcopy(conv)
    small.weight = nn.Parameter(conv.weight.detach()[:outputs, :inputs].clone())
    small.in_channels, small.out_channels = inputs, outputs
    return small
