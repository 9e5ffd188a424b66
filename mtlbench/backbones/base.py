"""What every backbone offers a method: a stem, then stages of residual blocks whose two branches can run apart.

A method composes blocks and stages and writes no convolution stack of its own, so it works on every backbone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, cast

import torch.nn.functional as F
from torch import Tensor, nn

from mtlbench.errors import CheckpointError


@dataclass(frozen=True)
class Architecture:
    """What all methods of a study build from.

    `shape` is one input's: (3, H, W) for images, (L,) for texts, (N, 1) for vectors. `head` is the hidden width of dense
    heads. `init` is "kaiming" (fan-in) or "normal" (AdaShare's release: N(0, 0.01), and heads as torch makes them).
    `batchnorm` is "domain" (each input stream has its own statistics and affine) or "shared"; they differ only where tasks
    have inputs of their own.
    """

    backbone: str = "resnet18"
    shape: tuple[int, ...] = (3, 64, 64)
    width: float = 1.0
    head: int = 128
    dropout: float = 0.0
    init: str = "kaiming"
    batchnorm: str = "domain"


class Block(nn.Module):
    """A residual block: `block(x) = end(shortcut(y) + residual(y))`, where `y = begin(x)`.

    `branch` is F, which a policy may skip; `projection` is S where the shapes of input and output differ, None for the
    identity. `entry` is what both of them read through (what halves the size in a ConvNeXt), None for nothing. A method
    may run, copy or replace these modules. A block that ends in something else than a ReLU overrides `end`.
    """

    def __init__(self, branch: nn.Module, projection: nn.Module | None = None, entry: nn.Module | None = None) -> None:
        super().__init__()
        self.branch = branch
        self.projection = projection
        self.entry = entry

    def begin(self, x: Tensor) -> Tensor:
        """y: what both the shortcut and the branch take in, computed whether the branch is skipped or not."""
        return x if self.entry is None else self.entry(x)

    def shortcut(self, x: Tensor) -> Tensor:
        """S(x): the identity, or a projection to the residual's shape."""
        return x if self.projection is None else self.projection(x)

    def residual(self, x: Tensor) -> Tensor:
        """F(x): the branch that a policy may skip."""
        return self.branch(x)  # type: ignore[no-any-return]

    def end(self, x: Tensor) -> Tensor:
        """What follows the sum; never in place, since `x` may be the block's input."""
        return F.relu(x)

    def forward(self, x: Tensor) -> Tensor:
        y = self.begin(x)
        return self.end(self.shortcut(y) + self.residual(y))


class Backbone(nn.Module):
    """A stem and stages of blocks; `channels` counts the features after the stem and after each stage.

    `stride` is by how much the last features are smaller than the input, along each side: heads are made to it.
    """

    initialised: ClassVar[bool] = False
    """Whether its maker has set its initial weights, so that the study's `init` leaves them alone."""

    def __init__(
        self, stem: nn.Module, stages: Sequence[Sequence[Block]], channels: Sequence[int], stride: int
    ) -> None:
        super().__init__()
        self.stride = stride
        self.stem = stem
        self.stages = nn.ModuleList(nn.Sequential(*blocks) for blocks in stages)
        self.channels = tuple(channels)

    @property
    def blocks(self) -> list[Block]:
        """Every block, in order, l = 0..L-1."""
        return [block for stage in self.stages for block in cast(Iterable[Block], stage)]

    def read(self, weights: Mapping[str, Tensor], source: str) -> None:
        """Take in published weights (a state dict); CheckpointError, naming `source`, where they do not fit."""
        raise CheckpointError(f"{source}: nobody has published weights for this backbone (allowed: no --pretrained)")

    def forward(self, x: Tensor) -> Tensor:
        """(B, *shape) -> (B, C, h, w), or (B, C, l) for texts and vectors."""
        x = self.stem(x)
        for stage in self.stages:
            x = stage(x)
        return x


class StreamSwitch:
    """Which input stream is running now. One object a network and its copies: a copy must hear the harness too."""

    def __init__(self, streams: Sequence[str]) -> None:
        self.streams = tuple(streams)
        self.current = self.streams[0]

    def __deepcopy__(self, memo: object) -> StreamSwitch:
        return self


class StreamNorm(nn.Module):
    """Batch normalisation per input stream (domain): the running stream's statistics and affine are used."""

    def __init__(self, norms: Sequence[nn.Module], switch: StreamSwitch) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norms)
        self._switch = switch

    def forward(self, x: Tensor) -> Tensor:
        return self.norms[self._switch.streams.index(self._switch.current)](x)  # type: ignore[no-any-return]


Norm = Callable[[int], nn.Module]
"""Makes a normalisation layer for so many channels."""


def initialise(module: nn.Module, init: str) -> None:
    """Weights as `Architecture.init` says; batch norm 1 and 0, biases 0."""
    for m in module.modules():
        if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Linear):
            if init == "normal":
                nn.init.normal_(m.weight, std=0.01)
            else:
                nn.init.kaiming_normal_(m.weight, mode="fan_in", nonlinearity="relu")
            if m.bias is not None:
                nn.init.zeros_(m.bias)
