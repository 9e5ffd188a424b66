"""Labels and predictions as colours, the same everywhere: near is bright, a normal's x, y and -z are red, green, blue."""

from __future__ import annotations

import colorsys
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
UNLABELLED = (40, 40, 40)
TONES = ((0.6, 0.95), (0.95, 0.7), (0.35, 0.8), (0.8, 0.5), (0.5, 0.6))  # saturation and value
MAPS = {"near": "magma_r", "heat": "magma"}
CHANNELS = {"directions": 3, **dict.fromkeys(MAPS, 1)}
DENSE = ("classes", *CHANNELS)
"""Views of labels that are pictures: class numbers (H, W), unit vectors, and values whose low or high ends are bright."""
ANSWERS = ("class", "level", "labels", "value")
"""Views of one answer an input: a class by its probabilities, a level, labels by theirs, and numbers."""
VIEWS = (*DENSE, *ANSWERS)
"""How labels and answers are drawn, by name: a kind names one, and the report draws it without the kind's code."""


def palette(classes: int) -> Array:
    """A colour for each class, (classes, 3) uint8: hues a golden angle apart in five tones, so that 40 can be told."""
    colours = [colorsys.hsv_to_rgb((0.58 + i * 0.618034) % 1, *TONES[i % len(TONES)]) for i in range(classes)]
    return (255 * np.array(colours)).round().astype(np.uint8)


def coloured(view: str, label: Array, classes: int = 1, limits: tuple[float, float] | None = None) -> Array:
    """A label as an RGB picture (H, W, 3) uint8; what is unlabelled (-1 or NaN) is dark grey.

    `label` is (H, W) class numbers for the view "classes", else (C, H, W). `limits` are the values at the ends of the
    colour scale for "near" and "heat" (by default those of the label).
    """
    known = np.isfinite(label).all(0) if view in CHANNELS else label >= 0
    if view in MAPS:
        picture = _scaled(label[0], limits or span(label), MAPS[view])
    elif view in CHANNELS:
        signs = np.array([1.0, 1.0, -1.0]).reshape(3, 1, 1)
        picture = np.moveaxis(127.5 * (np.nan_to_num(label) * signs + 1), 0, -1).clip(0, 255).round().astype(np.uint8)
    else:
        picture = palette(classes)[np.maximum(label, 0)]
    return np.where(np.expand_dims(known, -1), picture, np.array(UNLABELLED, np.uint8))


def span(label: Array) -> tuple[float, float]:
    """The ends of a colour scale for a label: its 1st and 99th percentile."""
    known = label[np.isfinite(label)]
    if not known.size:
        return 0.0, 1.0
    low, high = np.percentile(known, [1, 99])
    return float(low), float(high)


def _scaled(value: Array, limits: tuple[float, float], name: str) -> Array:
    from matplotlib import colormaps

    low, high = limits
    share = np.clip((np.nan_to_num(value) - low) / max(high - low, 1e-12), 0, 1)
    picture: Array = colormaps[name](share, bytes=True)[..., :3]
    return picture
