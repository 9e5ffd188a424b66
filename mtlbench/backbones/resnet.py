"""DeepLab-ResNet (Chen et al. 2018; AdaShare's backbone): strides 1,2,1,1 and dilations 1,1,2,4, output stride 8."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from mtlbench.backbones.base import Architecture, Backbone, Block, Norm
from mtlbench.errors import CheckpointError

WIDTHS = (64, 128, 256, 512)
STRIDES = (1, 2, 1, 1)
DILATIONS = (1, 1, 2, 4)
STRIDE = 8  # the stem's four, and the second stage's two


def scaled(channels: int, width: float) -> int:
    """`channels` times the width multiplier, in multiples of four (subspaces and nested levels need them), at least 4."""
    return max(4, 4 * round(channels * width / 4))


def _conv(inputs: int, outputs: int, size: int, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (size // 2)
    return nn.Conv2d(inputs, outputs, size, stride, padding, dilation, bias=False)


class ResidualBlock(Block):
    """A projection, or none, beside a branch: shared by the basic block and the bottleneck."""

    expansion = 1

    @classmethod
    def make(cls, inputs: int, outputs: int, stride: int, dilation: int, first: bool, norm: Norm) -> ResidualBlock:
        """A block from `inputs` to `outputs * expansion` channels; the first of a stage may need a projection."""
        full = outputs * cls.expansion
        projection = None
        if first and (stride != 1 or inputs != full or dilation in (2, 4)):
            projection = nn.Sequential(_conv(inputs, full, 1, stride), norm(full))
        return cls(cls._branch(inputs, outputs, stride, dilation, norm), projection)

    @classmethod
    def _branch(cls, inputs: int, outputs: int, stride: int, dilation: int, norm: Norm) -> nn.Module:
        raise NotImplementedError


class BasicBlock(ResidualBlock):
    """conv3x3-BN-ReLU-conv3x3-BN (ResNet-18 and 34)."""

    @classmethod
    def _branch(cls, inputs: int, outputs: int, stride: int, dilation: int, norm: Norm) -> nn.Module:
        first = _conv(inputs, outputs, 3, stride, dilation)
        second = _conv(outputs, outputs, 3, 1, dilation)
        return nn.Sequential(first, norm(outputs), nn.ReLU(inplace=True), second, norm(outputs))


class Bottleneck(ResidualBlock):
    """conv1x1-BN-ReLU-conv3x3-BN-ReLU-conv1x1-BN, four times as wide at its end (ResNet-50 and 101)."""

    expansion = 4

    @classmethod
    def _branch(cls, inputs: int, outputs: int, stride: int, dilation: int, norm: Norm) -> nn.Module:
        full = outputs * cls.expansion
        reduce = (_conv(inputs, outputs, 1), norm(outputs), nn.ReLU(inplace=True))
        middle = (_conv(outputs, outputs, 3, stride, dilation), norm(outputs), nn.ReLU(inplace=True))
        return nn.Sequential(*reduce, *middle, _conv(outputs, full, 1), norm(full))


def _stem(channels: int, norm: Norm, inputs: int) -> nn.Sequential:
    pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
    return nn.Sequential(_conv(inputs, channels, 7, 2), norm(channels), nn.ReLU(inplace=True), pool)


class ResNet(Backbone):
    """A DeepLab-ResNet, which can start from torchvision's weights."""

    def read(self, weights: Mapping[str, Tensor], source: str) -> None:
        load_torchvision(self, weights, source)


def _resnet(block: type[ResidualBlock], depths: tuple[int, ...], architecture: Architecture, norm: Norm) -> Backbone:
    widths = [scaled(w, architecture.width) for w in WIDTHS]
    stages, inputs = [], widths[0]
    for width, depth, stride, dilation in zip(widths, depths, STRIDES, DILATIONS, strict=True):
        stage: list[Block] = []
        for index in range(depth):
            first = index == 0
            stage.append(block.make(inputs, width, stride if first else 1, dilation, first, norm))
            inputs = width * block.expansion
        stages.append(stage)
    channels = (widths[0], *(w * block.expansion for w in widths))
    return ResNet(_stem(widths[0], norm, architecture.shape[0]), stages, channels, STRIDE)


def resnet18(architecture: Architecture, norm: Norm) -> Backbone:
    """8 basic blocks; 11.18 M parameters at width 1."""
    return _resnet(BasicBlock, (2, 2, 2, 2), architecture, norm)


def resnet34(architecture: Architecture, norm: Norm) -> Backbone:
    """16 basic blocks; 21.29 M parameters at width 1."""
    return _resnet(BasicBlock, (3, 4, 6, 3), architecture, norm)


def resnet50(architecture: Architecture, norm: Norm) -> Backbone:
    """16 bottlenecks."""
    return _resnet(Bottleneck, (3, 4, 6, 3), architecture, norm)


def resnet101(architecture: Architecture, norm: Norm) -> Backbone:
    """33 bottlenecks."""
    return _resnet(Bottleneck, (3, 4, 23, 3), architecture, norm)


def load_torchvision(backbone: Backbone, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy torchvision's ImageNet weights into a backbone of width 1; each domain's batch norm gets a copy.

    Raises CheckpointError where a tensor is missing or has another shape.
    """
    state = backbone.state_dict()
    for name, value in state.items():
        key = _torchvision_name(name)
        if key not in weights:
            raise CheckpointError(f"{source}: no tensor '{key}' (a torchvision ResNet of the same depth is expected)")
        if weights[key].shape != value.shape:
            given, wanted = tuple(weights[key].shape), tuple(value.shape)
            raise CheckpointError(f"{source}: '{key}' has shape {given}, the backbone needs {wanted} (width 1)")
        value.copy_(weights[key])


def _torchvision_name(name: str) -> str:
    """Our name of a tensor -> torchvision's: stages.0.1.branch.3.weight -> layer1.1.conv2.weight."""
    parts = [p for i, p in enumerate(name.split(".")) if not (p == "norms" or name.split(".")[i - 1] == "norms")]
    kinds = ("conv", "bn")
    if parts[0] == "stem":
        return f"{kinds[int(parts[1])]}1.{parts[2]}"
    place = f"layer{int(parts[1]) + 1}.{parts[2]}"
    index, leaf = int(parts[4]), parts[5]
    if parts[3] == "projection":
        return f"{place}.downsample.{index}.{leaf}"
    return f"{place}.{kinds[index % 3]}{index // 3 + 1}.{leaf}"
