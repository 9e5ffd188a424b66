"""Residual branches that run with a fraction of their middle channels: what DEN's backbone is made of."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtlbench.backbones import Build
from mtlbench.backbones.base import StreamNorm
from mtlbench.errors import ConfigError

LEVEL_FRACTIONS = (0.0, 0.25, 0.5, 1.0)
"""A level's fraction of a branch's middle channels: always the first ones, so that the levels are nested."""
TOP = len(LEVEL_FRACTIONS) - 1
Convolution = nn.Conv1d | nn.Conv2d | nn.Linear
"""What is narrowed: a layer between channels; one in groups is not."""
Norm = _BatchNorm | StreamNorm | nn.LayerNorm | nn.GroupNorm


class NormPlace(nn.Identity):
    """Where in a branch a norm belongs: each level has its own there."""


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
        self.layers = nn.ModuleList(layers)
        self.norms = nn.ModuleDict({str(level): nn.ModuleList(own) for level, own in norms.items()})
        self.outputs = dict(outputs)

    @classmethod
    def of(cls, branch: nn.Module, build: Build) -> ElasticBranch:
        """The elastic form of a plain branch: the top level is the branch itself, the others start as parts of it.

        Raises ConfigError for a branch that has no middle channels to narrow, or another layer with weights among them.
        """
        layers = list(branch) if isinstance(branch, nn.Sequential) else [branch]
        convs = [m for m in layers if narrowable(m)]
        _check(layers, convs)
        outputs = {level: _outputs(convs, level) for level in range(1, TOP + 1)}
        norms = {
            level: [_norm(layers, m, own, build) if level < TOP else m for m in layers if isinstance(m, Norm)]
            for level, own in outputs.items()
        }
        return cls([NormPlace() if isinstance(m, Norm) else m for m in layers], norms, outputs)

    def forward(self, x: Tensor, level: int) -> Tensor:
        norms, outputs = iter(cast(nn.ModuleList, self.norms[str(level)])), iter(self.outputs[level])
        for layer in self.layers:
            if narrowable(layer):
                x = _first(cast(Convolution, layer), x, next(outputs))
            else:
                x = next(norms)(x) if isinstance(layer, NormPlace) else layer(x)
        return x

    @property
    def convolutions(self) -> list[Convolution]:
        """The branch's convolutions, in order."""
        return [cast(Convolution, m) for m in self.layers if narrowable(m)]

    def weights(self, level: int) -> int:
        """How many of the convolutions' weights a level uses."""
        if level == 0:
            return 0
        outputs, convs = self.outputs[level], self.convolutions
        inputs = (convs[0].weight.shape[1], *outputs)
        return sum(o * i * c.weight[0, 0].numel() for c, o, i in zip(convs, outputs, inputs, strict=False))

    def trimmed(self, levels: Sequence[int]) -> ElasticBranch:
        """A copy that runs at these levels alone, and holds no norm and no channel that they do not use."""
        used = sorted({level for level in levels if level})
        if not used:
            return ElasticBranch([], {}, {})
        largest = iter(self.outputs[used[-1]])
        layers: list[nn.Module] = []
        inputs = self.convolutions[0].weight.shape[1]
        for layer in self.layers:
            if narrowable(layer):
                outputs = next(largest)
                layers.append(_cut(cast(Convolution, layer), inputs, outputs))
                inputs = outputs
            else:
                layers.append(copy.deepcopy(layer))
        norms = {level: copy.deepcopy(cast(nn.ModuleList, self.norms[str(level)])) for level in used}
        return ElasticBranch(layers, {n: list(own) for n, own in norms.items()}, {n: self.outputs[n] for n in used})


def narrowable(layer: nn.Module) -> bool:
    """Whether a layer can run with its first channels alone."""
    return isinstance(layer, Convolution) and getattr(layer, "groups", 1) == 1


def _check(layers: Sequence[nn.Module], convs: Sequence[nn.Module]) -> None:
    if len(convs) < 2:
        raise ConfigError(
            f"den narrows the channels between a branch's convolutions or linear layers, and a branch of "
            f"{', '.join(type(m).__name__ for m in layers)} has none between two (allowed: an nn.Sequential of them)"
        )
    for layer in layers[layers.index(convs[0]) : layers.index(convs[-1])]:
        known = narrowable(layer) or isinstance(layer, _BatchNorm | StreamNorm)
        if not known and list(layer.parameters()):
            raise ConfigError(f"den cannot narrow the {type(layer).__name__} in the middle of a branch")


def _norm(layers: Sequence[nn.Module], norm: nn.Module, outputs: Sequence[int], build: Build) -> nn.Module:
    """A level's own norm in the place of `norm`: of as many channels as arrive there."""
    passed = sum(narrowable(m) for m in layers[: layers.index(norm)])
    if passed in (0, len(outputs)):  # every channel of the block's input or output
        return copy.deepcopy(norm)
    return _narrowed(norm, outputs[passed - 1], build)


def _outputs(convs: Sequence[nn.Module], level: int) -> tuple[int, ...]:
    """The channels after each convolution at a level: the middle ones' fraction of them, and all of the last one's."""
    *middle, last = (len(cast(Convolution, c).weight) for c in convs)
    return (*(max(1, round(LEVEL_FRACTIONS[level] * c)) for c in middle), last)


def _narrowed(norm: nn.Module, channels: int, build: Build) -> nn.Module:
    """A norm of the first `channels` channels, which starts as `norm` does on them."""
    narrow = build.norm(channels)
    narrow.load_state_dict({key: v[:channels] if v.dim() else v for key, v in norm.state_dict().items()})
    return narrow


def _first(conv: Convolution, x: Tensor, outputs: int) -> Tensor:
    """A convolution of the first output channels over the first input channels, as many as there are in `x`."""
    bias = None if conv.bias is None else conv.bias[:outputs]
    if isinstance(conv, nn.Linear):  # its channels lie last
        return F.linear(x, conv.weight[:outputs, : x.shape[-1]], bias)
    convolve = F.conv2d if isinstance(conv, nn.Conv2d) else F.conv1d
    weight = conv.weight[:outputs, : x.shape[1]]
    return convolve(x, weight, bias, conv.stride, conv.padding, conv.dilation)


def _cut(conv: Convolution, inputs: int, outputs: int) -> Convolution:
    """A copy of a convolution between its first channels alone."""
    small = copy.deepcopy(conv)
    small.weight = nn.Parameter(conv.weight.detach()[:outputs, :inputs].clone())
    if conv.bias is not None:
        small.bias = nn.Parameter(conv.bias.detach()[:outputs].clone())
    if isinstance(small, nn.Linear):
        small.in_features, small.out_features = inputs, outputs
    else:
        small.in_channels, small.out_channels = inputs, outputs
    return small
