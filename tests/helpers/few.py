"""Backbones of four blocks and of one, for runs of a tenth of a second. Given as tests/helpers/few.py:few."""

from __future__ import annotations

from mtlbench.backbones import Architecture, Backbone
from mtlbench.backbones.base import Norm
from mtlbench.backbones.resnet import resnet18


def few(architecture: Architecture, norm: Norm) -> Backbone:
    """ResNet-18 with one block a stage."""
    full = resnet18(architecture, norm)
    return Backbone(full.stem, [list(stage.children())[:1] for stage in full.stages], full.channels, full.stride)


def one(architecture: Architecture, norm: Norm) -> Backbone:
    """ResNet-18's stem and first block, for thousands of steps."""
    full = resnet18(architecture, norm)
    return Backbone(full.stem, [list(full.stages[0].children())[:1]], full.channels[:2], 4)
