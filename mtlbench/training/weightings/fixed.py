"""Constant weights: the data set's, a preset's, or the user's."""

from __future__ import annotations

from mtlbench.training.weighting import Weighting


class Fixed(Weighting):
    """The study's weights, as they are (`--weights a=1,b=.5`)."""

    name = "fixed"
