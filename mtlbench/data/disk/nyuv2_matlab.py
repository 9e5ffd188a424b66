"""The official NYUv2 file: HDF5 in MATLAB's transposed order, with `splits.mat` and the mapping of its 894 labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from mtlbench.data.disk.cache import Column, ahead
from mtlbench.data.disk.class_names import NYUV2, NYUV2_13_OF_40
from mtlbench.data.disk.dense import pack_classes, pack_depth, unpack_classes, unpack_reals
from mtlbench.data.disk.files import MAX_PIXELS, Array, bad, hdf5
from mtlbench.data.disk.matlab5 import numbers, variable
from mtlbench.data.disk.source import Source
from mtlbench.data.disk.stored import INPUT, unpack_images
from mtlbench.tasks import Task

MATLAB = "nyu_depth_v2_labeled.mat"
SPLITS = "splits.mat"
MAPPING = "classMapping40.mat"
MAPPING_13 = "class13Mapping.mat"
_ORDER = "images (N, 3, W, H), depths (N, W, H) and labels (N, W, H), MATLAB's order"


def matlab(root: Path, classes: int, max_depth: float) -> Source:
    """The official file: segmentation and depth, no normals. DataError where it, splits or mapping are damaged."""
    path = root / MATLAB
    count, size = _shape(path)
    splits = {
        "train": _indices(root / SPLITS, "trainNdxs", count),
        "test": _indices(root / SPLITS, "testNdxs", count),
    }
    if np.intersect1d(splits["train"], splits["test"]).size:
        bad(root / SPLITS, "trainNdxs and testNdxs share images", "two disjoint splits")
    mapping = _mapping(root, classes)
    columns: dict[tuple[str, str], Column] = {}
    for split, indices in splits.items():
        columns |= {(split, field): c for field, c in _columns(root, split, indices, size, mapping, max_depth).items()}
    found = (Task("segmentation", "segmentation", classes, classes=NYUV2[classes]), Task("depth", "depth", 1, unit="m"))
    return Source("official", size, found, columns)


def _shape(path: Path) -> tuple[int, tuple[int, int]]:
    """How many images there are, and their (H, W)."""
    with hdf5(path, _ORDER) as file:
        shapes = {name: tuple(file[name].shape) for name in ("images", "depths", "labels")}
        kinds = {name: file[name].dtype.kind for name in shapes}
    images = shapes["images"]
    if len(images) != 4 or images[1] != 3 or not images[0] or images[2] * images[3] not in range(1, MAX_PIXELS):
        bad(path, f"images of shape {images}", _ORDER)
    for name in ("depths", "labels"):
        if shapes[name] != (images[0], *images[2:]):
            bad(path, f"{name} of shape {shapes[name]} beside images of shape {images}", _ORDER)
    if kinds != {"images": "u", "depths": "f", "labels": "u"}:
        bad(path, f"kinds of numbers {kinds}", "uint8 images, real depths, unsigned labels")
    return int(images[0]), (int(images[3]), int(images[2]))


def _indices(path: Path, name: str, count: int) -> np.ndarray:
    """A split's images, from 1 in the file, from 0 here."""
    values = numbers(path, name, f"the official splits, variable {name}").ravel()
    if values.dtype.kind not in "uif" or not values.size or np.any(~((values >= 1) & (values <= count))):
        bad(path, f"{name} does not number images", f"numbers 1 to {count}")
    return np.unique(values.astype(np.int64)) - 1


def _mapping(root: Path, classes: int) -> np.ndarray:
    """Label 0..894 -> class, -1 where unlabelled: 40 classes, or through them 13, by the file beside or the standard map."""
    to40 = _classes(root / MAPPING, numbers(root / MAPPING, "mapClass", "the 894 -> 40 mapping"), 40)
    if classes == 40:
        return to40
    to13 = _to13(root) if (root / MAPPING_13).exists() else np.array([-1, *(c - 1 for c in NYUV2_13_OF_40)])
    combined: np.ndarray = to13[to40 + 1]
    return combined


def _to13(root: Path) -> np.ndarray:
    expected = "the 40 -> 13 mapping, a structure whose first field maps classes"
    fields = variable(root / MAPPING_13, "classMapping13", expected)
    if not isinstance(fields, dict) or not fields:
        bad(root / MAPPING_13, "classMapping13 is no structure of numbers", expected)
    to13 = _classes(root / MAPPING_13, next(iter(fields.values())), 13)
    if len(to13) != 41:
        bad(root / MAPPING_13, f"{len(to13) - 1} entries", "40")
    return to13


def _classes(path: Path, values: Array, classes: int) -> np.ndarray:
    """A mapping in the file's numbers (from 1, 0 none) as a table for labels from 0: -1 none."""
    if values.dtype.kind not in "uif" or not values.size or np.any(~((values >= 0) & (values <= classes))):
        bad(path, "entries outside the classes", f"numbers 1 to {classes}, 0 for none")
    return np.concatenate([[-1], values.ravel().astype(np.int64) - 1])


def _columns(
    root: Path, split: str, indices: np.ndarray, size: tuple[int, int], mapping: np.ndarray, max_depth: float
) -> dict[str, Column]:
    path = root / MATLAB
    sources = (path, root / SPLITS, root / MAPPING)

    def stored(name: str, pack: Callable[[Array], Array]) -> Callable[[int], Array]:
        def decode(index: int) -> Array:
            with hdf5(path, _ORDER) as file:
                return pack(np.asarray(file[name][index]).T)  # (3, W, H) or (W, H) -> (H, W, 3) or (H, W)

        return decode

    def label(values: Array) -> Array:
        if values.max() >= len(mapping):
            bad(path, f"label {values.max()}", f"0 to {len(mapping) - 1}, the entries of {MAPPING}")
        return pack_classes(path, mapping[values], 40)

    forms: dict[str, tuple[tuple[int, ...], str, Callable[[int], Array], Callable[[Array], Tensor]]] = {
        INPUT: ((*size, 3), "u1", stored("images", lambda v: v), unpack_images),
        "segmentation": (size, "u1", stored("labels", label), unpack_classes),
        "depth": (size, "f4", stored("depths", lambda v: pack_depth(path, v, max_depth)), unpack_reals),
    }

    def column(field: str) -> Column:
        shape, dtype, decode, unpack = forms[field]
        rows = partial(ahead, decode, [int(i) for i in indices])
        return Column(
            f"{split}/{field}", len(indices), shape, dtype, sources, rows, unpack, f"{mapping.tolist()}", rows
        )

    return {field: column(field) for field in forms}
