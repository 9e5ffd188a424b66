"""A backbone of one's own: pre-activation residual blocks, features at a quarter of the image's size."""

from torch import nn

from mtlbench.backbones import Backbone, Block


class PreActivated(Block):
    """norm-ReLU-conv, twice; nothing follows the sum."""

    def __init__(self, inputs, outputs, stride, norm):
        half = outputs // 2
        branch = nn.Sequential(
            *(norm(inputs), nn.ReLU(), nn.Conv2d(inputs, half, 3, stride, 1, bias=False)),
            *(norm(half), nn.ReLU(), nn.Conv2d(half, outputs, 3, padding=1, bias=False)),
        )
        same = stride == 1 and inputs == outputs
        super().__init__(branch, None if same else nn.Conv2d(inputs, outputs, 1, stride, bias=False))

    def end(self, x):
        return x


def quarter(architecture, norm):
    """Two stages of two blocks; `norm(channels)` makes the batch norm, per domain where tasks have their own inputs."""
    first = max(4, 4 * round(8 * architecture.width))
    stem = nn.Conv2d(architecture.shape[0], first, 3, stride=2, padding=1, bias=False)
    stages = [
        [PreActivated(inputs, outputs, stride, norm), PreActivated(outputs, outputs, 1, norm)]
        for inputs, outputs, stride in ((first, first, 1), (first, 2 * first, 2))
    ]
    return Backbone(stem, stages, (first, first, 2 * first), stride=4)
