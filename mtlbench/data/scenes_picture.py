"""Draws the datasheet's picture of `scenes`: python -m mtlbench.data.scenes_picture OUT.png"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from mtlbench.data.rendering.rooms import CLASSES
from mtlbench.data.scenes import ScenesOptions, render

COLUMNS = ("image", "segmentation", "normals", "depth", "keypoints", "edges")
INDICES = (34, 95, 18, 57)
DOUBLE = 57
SIZE = 192
COLOURS = (
    "#8d99ae", "#e5e5e5", "#d8c3a5", "#7f5539", "#457b9d", "#ffd166",
    "#6a4c93", "#bc6c25", "#e76f51", "#2a9d8f", "#90be6d", "#d62828",
)  # fmt: skip
"""One a class, in the classes' order."""


def draw(path: Path) -> None:
    """Four scenes and a double exposure with all their labels, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch

    palette = np.array([to_rgb(colour) for colour in COLOURS])
    rows = [(index, 0.0) for index in INDICES] + [(DOUBLE, 1.0)]
    figure, axes = pyplot.subplots(len(rows), len(COLUMNS), figsize=(12, 10.6), dpi=90)
    for line, (index, conflict) in zip(axes, rows, strict=True):
        fields = render(ScenesOptions(size=SIZE, conflict=conflict), "train", index)
        for axis, name in zip(line, COLUMNS, strict=True):
            axis.imshow(_coloured(name, fields[name], palette, pyplot.get_cmap), interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.spines[:].set_visible(False)
        line[0].set_ylabel(f"double exposure {index}" if conflict else f"scene {index}", fontsize=9, color="#444444")
    for axis, name in zip(axes[0], COLUMNS, strict=True):
        axis.set_title(name, fontsize=11, pad=6)
    patches = [Patch(color=colour, label=name) for colour, name in zip(COLOURS, CLASSES, strict=True)]
    figure.legend(
        handles=patches,
        loc="lower center",
        ncol=len(CLASSES),
        frameon=False,
        fontsize=9,
        handlelength=1.0,
        columnspacing=1.2,
    )
    figure.subplots_adjust(left=0.03, right=0.995, top=0.965, bottom=0.045, wspace=0.03, hspace=0.03)
    figure.savefig(path)
    pyplot.close(figure)


def _coloured(name: str, value: np.ndarray, palette: np.ndarray, colours: Any) -> np.ndarray:
    """A field as RGB (H, W, 3): near is bright, and a normal's x, y and -z are red, green and blue."""
    if name == "image":
        return np.moveaxis(value, 0, -1)
    if name == "segmentation":
        return np.asarray(palette[value])
    if name == "normals":
        return np.moveaxis(value * np.array([1, 1, -1]).reshape(3, 1, 1) * 0.5 + 0.5, 0, -1)
    if name == "depth":
        return np.asarray(colours("magma_r")(np.clip(value / 7.5, 0, 1))[..., :3])
    return np.asarray(colours("magma")(value)[..., :3])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python -m mtlbench.data.scenes_picture OUT.png")
    draw(Path(sys.argv[1]))
