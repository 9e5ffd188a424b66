"""VD-CNN (Conneau et al., EACL 2017, arXiv 1606.01781): residual convolutions over the characters of a text.

Depths count convolutions: one in the stem, two a block. A stage halves the length by max-pooling (kernel 3, stride 2),
which belongs to its first block, on both of its branches, so that any block may be skipped. As every backbone's here, a
block ends in relu(shortcut + residual); the paper's optional shortcuts are always on.
"""

from __future__ import annotations

from torch import Tensor, nn

from mtlbench.backbones.base import Architecture, Backbone, Block, Norm
from mtlbench.backbones.resnet import scaled

TOKENS = 69
"""The paper's dictionary: 66 characters, space, padding and unknown."""
EMBEDDING = 16
STRIDE = 8  # three stages halve the text's length
WIDTHS = (64, 128, 256, 512)
BLOCKS = {9: (1, 1, 1, 1), 17: (2, 2, 2, 2), 29: (5, 5, 2, 2)}  # the paper's table 2, two convolutions a block


def _conv(inputs: int, outputs: int, size: int) -> nn.Conv1d:
    return nn.Conv1d(inputs, outputs, size, padding=size // 2, bias=False)


def _pool(halve: bool) -> list[nn.Module]:
    return [nn.MaxPool1d(3, stride=2, padding=1)] if halve else []


class Stem(nn.Module):
    """Character embedding, and one temporal convolution: int64 (B, L) -> (B, C, L)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(TOKENS, EMBEDDING)
        self.convolution = nn.Conv1d(EMBEDDING, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(self.embedding(x).transpose(1, 2))  # type: ignore[no-any-return]


class ConvolutionalBlock(Block):
    """conv3-BN-ReLU-conv3-BN beside the identity, or a 1x1 projection where width or length changes."""

    def __init__(self, inputs: int, outputs: int, halve: bool, norm: Norm) -> None:
        first, second = _conv(inputs, outputs, 3), _conv(outputs, outputs, 3)
        branch = nn.Sequential(*_pool(halve), first, norm(outputs), nn.ReLU(inplace=True), second, norm(outputs))
        projection: nn.Module | None = None
        if halve or inputs != outputs:
            projection = nn.Sequential(*_pool(halve), _conv(inputs, outputs, 1), norm(outputs))
        super().__init__(branch, projection)


def _vdcnn(depth: int, architecture: Architecture, norm: Norm) -> Backbone:
    widths = [scaled(w, architecture.width) for w in WIDTHS]
    stages: list[list[Block]] = []
    inputs = widths[0]
    for index, (width, blocks) in enumerate(zip(widths, BLOCKS[depth], strict=True)):
        first = ConvolutionalBlock(inputs, width, index > 0, norm)
        stages.append([first, *(ConvolutionalBlock(width, width, False, norm) for _ in range(blocks - 1))])
        inputs = width
    return Backbone(Stem(widths[0]), stages, (widths[0], *widths), STRIDE)


def vdcnn9(architecture: Architecture, norm: Norm) -> Backbone:
    """For texts: 4 blocks, 9 convolutions."""
    return _vdcnn(9, architecture, norm)


def vdcnn17(architecture: Architecture, norm: Norm) -> Backbone:
    """For texts: 8 blocks, 17 convolutions."""
    return _vdcnn(17, architecture, norm)


def vdcnn29(architecture: Architecture, norm: Norm) -> Backbone:
    """For texts: 14 blocks, 29 convolutions."""
    return _vdcnn(29, architecture, norm)
