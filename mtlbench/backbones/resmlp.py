"""Residual multilayer perceptrons for vectors of numbers, in blocks that a policy may skip as those of any backbone.

A vector of N numbers is an input (B, N, 1), and its features are (B, C, 1): a linear layer is a convolution of one position,
so whatever composes blocks, stages and 1x1 convolutions works on vectors as well. The block is linear-BN-ReLU-linear-BN
beside the identity (He et al., CVPR 2016, with linear layers; Gorishniy et al., NeurIPS 2021, arXiv 2106.11959, section 3.2,
have the like for tables). Four stages of equal blocks; as every backbone's here, a block ends in relu(shortcut + residual).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from mtlbench.backbones.base import Architecture, Backbone, Block, Norm
from mtlbench.backbones.resnet import scaled
from mtlbench.errors import ConfigError

WIDTH = 128
STAGES, BLOCKS = 4, 2


class Linear(nn.Conv1d):
    """A linear layer in the shape of a convolution: (B, I, 1) -> (B, O, 1), by a product, a third of a convolution's time."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.squeeze(2), self.weight.squeeze(2)).unsqueeze(2)


class LinearBlock(Block):
    """linear-BN-ReLU-linear-BN beside the identity, or a linear layer and BN where the width changes."""

    def __init__(self, inputs: int, outputs: int, norm: Norm) -> None:
        first, second = Linear(inputs, outputs), Linear(outputs, outputs)
        branch = nn.Sequential(first, norm(outputs), nn.ReLU(inplace=True), second, norm(outputs))
        projection = None if inputs == outputs else nn.Sequential(Linear(inputs, outputs), norm(outputs))
        super().__init__(branch, projection)


def resmlp(architecture: Architecture, norm: Norm) -> Backbone:
    """For vectors: 8 blocks of linear layers, two a stage; (B, N, 1) -> (B, C, 1)."""
    if len(architecture.shape) != 2:
        raise ConfigError(f"backbone resmlp on inputs of shape {architecture.shape} (allowed: vectors, (N, 1))")
    width = scaled(WIDTH, architecture.width)
    stem = nn.Sequential(Linear(architecture.shape[0], width), norm(width), nn.ReLU(inplace=True))
    stages = [[LinearBlock(width, width, norm) for _ in range(BLOCKS)] for _ in range(STAGES)]
    return Backbone(stem, stages, (width,) * (STAGES + 1), 1)
