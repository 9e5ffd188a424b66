"""A backbone of four blocks, for runs of a tenth of a second. Given as tests/helpers/few.py:few."""

from __future__ import annotations

from mtlbench.backbones import Architecture, Backbone
from mtlbench.backbones.base import Norm
from mtlbench.backbones.resnet import resnet18


def few(architecture: Architecture, norm: Norm) -> Backbone:
    """ResNet-18 with one block a stage."""
    full = resnet18(architecture, norm)
    return Backbone(full.stem, [list(stage.children())[:1] for stage in full.stages], full.channels, full.stride)
