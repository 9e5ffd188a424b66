"""One kind of head for every method: dense (DeepLab's four dilated branches), linear, or for texts."""

from __future__ import annotations

from torch import Tensor, nn

from mtlbench.backbones.base import Architecture
from mtlbench.backbones.dilated import DilatedConv2d
from mtlbench.tasks import Task

DILATIONS = (6, 12, 18, 24)


class Head(nn.Module):
    """Base of all heads. Costs are split by it: what lies in a Head counts as heads, the rest as backbone."""


def dilations(side: int) -> tuple[int, ...]:
    """6, 12, 18, 24, scaled down in proportion where the map's smaller side is 24 or less: beyond it lies only padding."""
    return DILATIONS if side > DILATIONS[-1] else tuple(max(1, i * (side - 1) // 4) for i in (1, 2, 3, 4))


class DenseHead(Head):
    """Four parallel branches conv3x3(dilated)-ReLU-dropout-conv1x1-ReLU-dropout-conv1x1, summed (AdaShare's head).

    (B, C, h, w) -> (B, outputs, h, w).
    """

    def __init__(self, inputs: int, outputs: int, hidden: int, side: int, dropout: float) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                DilatedConv2d(inputs, hidden, d),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Conv2d(hidden, hidden, 1),
                nn.ReLU(inplace=True),
                nn.Dropout(dropout),
                nn.Conv2d(hidden, outputs, 1),
            )
            for d in dilations(side)
        )

    def forward(self, x: Tensor) -> Tensor:
        first, *others = self.branches
        total: Tensor = first(x)
        for branch in others:
            total = total + branch(x)
        return total


class LinearHead(Head):
    """Global average pooling and one linear layer: (B, C, h, w) -> (B, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean((2, 3)))  # type: ignore[no-any-return]


class TextHead(Head):
    """k-max pooling over the text and three linear layers (VD-CNN, figure 1): (B, C, l) -> (B, outputs).

    Of each channel the k largest values are kept in the order of the text; texts of fewer positions keep all of theirs.
    """

    K = 8

    def __init__(self, inputs: int, outputs: int, hidden: int, length: int, dropout: float) -> None:
        super().__init__()
        self.k = min(self.K, length)
        self.linear = nn.Sequential(
            nn.Linear(inputs * self.k, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        largest = x.topk(self.k, dim=2).indices.sort(dim=2).values
        return self.linear(x.gather(2, largest).flatten(1))  # type: ignore[no-any-return]


class VectorHead(Head):
    """One linear layer: (B, C, 1) -> (B, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.mean(2))  # type: ignore[no-any-return]


def make_head(task: Task, inputs: int, architecture: Architecture, stride: int) -> Head:
    """The head of a task on features with `inputs` channels, `stride` times smaller than the input along each side."""
    if len(architecture.shape) == 1:
        length = -(-architecture.shape[0] // stride)  # every halving rounds up
        return TextHead(inputs, task.channels, architecture.head, length, architecture.dropout)
    if len(architecture.shape) == 2:
        return VectorHead(inputs, task.channels)
    if not task.dense:
        return LinearHead(inputs, task.channels)
    side = min(architecture.shape[-2:]) // stride + 1  # the stem's pooling rounds up
    return DenseHead(inputs, task.channels, architecture.head, side, architecture.dropout)
