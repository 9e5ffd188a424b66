"""Backbones and heads: the parts every method composes, and `Build`, which makes them from a seed and a name."""

from mtlbench.backbones.base import Architecture, Backbone, Block
from mtlbench.backbones.build import Build
from mtlbench.backbones.heads import Head

__all__ = ["Architecture", "Backbone", "Block", "Build", "Head"]
