"""Taskonomy (Zamir et al., CVPR 2018), its tiny split: five tasks on indoor views, as a tree or through AdaShare's list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mtlbench.data.augment import log_depth
from mtlbench.data.base import DataOptions, Reference
from mtlbench.data.disk.cache import Column
from mtlbench.data.disk.dense import (
    STORED_VOID,
    DenseDataset,
    DenseOptions,
    Form,
    directions,
    pack_classes,
    unpack_classes,
)
from mtlbench.data.disk.files import Array, bad, folder
from mtlbench.data.disk.folders import found
from mtlbench.data.disk.images import label_image, photo
from mtlbench.data.disk.layouts import Parts, Paths, listed
from mtlbench.data.disk.source import Source
from mtlbench.data.disk.stored import INPUT, unpack_images
from mtlbench.data.published import DENSE, experiment
from mtlbench.errors import DataError
from mtlbench.tasks import Task

LISTING = "taskonomy.json"
EXPECTED = f"{LISTING}, or rgb/<building>_rgb/point_<p>_view_<v>_domain_rgb.png and the like"
DOMAINS = {
    INPUT: "rgb",
    "segmentation": "segment_semantic",
    "normals": "normal",
    "depth": "depth_zbuffer",
    "keypoints": "keypoints2d",
    "edges": "edge_texture",
}
"""The folder of every field, in the order of AdaShare's groups."""
TEST_BUILDINGS = frozenset({"ihlen", "mcdade", "muleshoe", "noxapater", "uvalda"})  # of the official tiny split
VALIDATION_BUILDINGS = frozenset({"collierville", "corozal", "darden", "markleeville", "wiconisco"})
CLASSES = 17
FAR = 64500  # depths from here on are missing
FULL = float(1 << 16)
GREY, NOTHING = 128, 65535  # stored where an image has no normals, or no values of 16 bits
KEYPOINTS, EDGES = 0.005, 0.08  # where the two are clipped, as shares of the 16 bits
WEIGHTS = {"segmentation": 1.0, "normals": 3.0, "depth": 2.0, "keypoints": 7.0, "edges": 7.0}  # AdaShare's lambda
TASKS = (
    Task("segmentation", "segmentation", CLASSES),
    Task("normals", "normals", 3),
    Task("depth", "depth", 1),
    Task("keypoints", "keypoints", 1),
    Task("edges", "edges", 1),
)


class Taskonomy(DenseDataset):
    """Buildings: segmentation (17 classes), normals, depth, keypoints and edges.

    Depth is log(1 + d) / log(2^16), keypoints and edges lie in [-1, 1].
    """

    name: ClassVar[str] = "taskonomy"
    paper_crop: ClassVar[int] = 224
    Options: ClassVar[type[DataOptions]] = DenseOptions
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"backbone": "resnet18", "width": 0.125, "head": 16, "steps": 300, "batch_size": 8},
        "standard": {"backbone": "resnet18", "width": 0.25, "head": 32, "steps": 3000, "batch_size": 8},
        "paper": experiment(30_000, 1e-4, "step:12000:0.3", **DENSE, weights=WEIGHTS),
    }
    references: ClassVar[Sequence[Reference]] = (
        Reference(
            "single-task, ResNet-34 (published)",
            "Sun et al., NeurIPS 2020 (arXiv 1911.12423), 256x256: the released code's single-task constants",
            {"depth": {"abs_error": 0.022}, "keypoints": {"error": 0.197}, "edges": {"error": 0.212}},
        ),
    )
    """Published segmentation is a loss and normals a cosine similarity: no metrics of this suite."""

    def __init__(self, options: DenseOptions, root: Path | None, tasks: Sequence[str] | None) -> None:
        super().__init__(options, root, tasks)
        self.adopt(recognise(folder(root, self.name, EXPECTED)), options, tasks, log_depth)


def recognise(root: Path) -> Source:
    """The source in `root`: AdaShare's list where there is one, else the tree."""
    if (root / LISTING).is_file():
        return _source("adashare", *listed(root / LISTING, tuple(DOMAINS)))
    if (root / DOMAINS[INPUT]).is_dir():
        return _source("tree", _tree(root), None)
    raise DataError(f"'{root}': no layout of Taskonomy (expected: {EXPECTED})")


def _tree(root: Path) -> Paths:
    """The files of all views, split by building: the official test buildings, or the last fifth where none is there.

    The official validation buildings are left out: validation is carved out of train.
    """
    names = [p.name.removesuffix("_rgb") for p in found(root / DOMAINS[INPUT], "*_rgb") if p.is_dir()]
    held = set(names) & TEST_BUILDINGS or set(names[-max(1, len(names) // 5) :])
    split = {"train": [n for n in names if n not in held | VALIDATION_BUILDINGS], "test": sorted(held)}
    paths: Paths = {}
    for part, buildings in split.items():
        images = [p for b in buildings for p in found(root / DOMAINS[INPUT] / f"{b}_rgb", "point_*_rgb.png")]
        if not images:
            bad(
                root / DOMAINS[INPUT],
                f"no view to {part} with",
                "two buildings or more, <building>_rgb/point_*_rgb.png",
            )
        for field, domain in DOMAINS.items():
            paths[part, field] = [_counterpart(root, p, domain) for p in images]
    return paths


def _counterpart(root: Path, image: Path, domain: str) -> Path:
    building = image.parent.name.removesuffix("_rgb")
    return root / domain / f"{building}_{domain}" / f"{image.name.removesuffix('rgb.png')}{domain}.png"


def _source(layout: str, paths: Paths, parts: Parts) -> Source:
    height, width, _ = photo(paths["train", INPUT][0]).shape
    size, whole, deep = (height, width), (height, width, 3), ("I;16", "I")
    forms: dict[str, Form] = {
        INPUT: (whole, "u1", lambda p: photo(p, size), unpack_images, None),
        "segmentation": (
            size,
            "u1",
            lambda p: _classes(p, label_image(p, ("L", "P"), size)),
            unpack_classes,
            STORED_VOID,
        ),
        "normals": (whole, "u1", lambda p: label_image(p, ("RGB",), size), unpack_normals, GREY),
        "depth": (size, "u2", lambda p: _deep(p, label_image(p, deep, size)), unpack_depth, NOTHING),
        "keypoints": (size, "u2", lambda p: _clip(p, label_image(p, deep, size)), unpack_keypoints, NOTHING),
        "edges": (size, "u2", lambda p: _clip(p, label_image(p, deep, size)), unpack_edges, NOTHING),
    }
    columns = {
        key: Column.of_files("/".join(key), files, *forms[key[1]], settings=f"void {NOTHING}")
        for key, files in paths.items()
    }
    return Source(layout, size, TASKS, columns, parts)


def _classes(path: Path, labels: Array) -> Array:
    """1 to 17, 0 unlabelled -> stored 0 to 16, 255 unlabelled."""
    return pack_classes(path, labels.astype(np.int64) - (labels != STORED_VOID), CLASSES)


def _deep(path: Path, values: Array) -> Array:
    if values.min() < 0 or values.max() >= FULL:
        bad(path, f"value {values.max()}", "16 bits")
    return values.astype(np.uint16)


def _clip(path: Path, values: Array) -> Array:
    """16 bits below the one that says nothing is labelled: far beyond where both tasks are clipped anyway."""
    return np.minimum(_deep(path, values), NOTHING - 1).astype(np.uint16)


def unpack_normals(rows: Array) -> Tensor:
    """uint8 (B, H, W, 3) -> unit (B, 3, H, W), NaN without direction."""
    return directions(torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous())


def unpack_depth(rows: Array) -> Tensor:
    """uint16 (B, H, W) -> log(1 + d) / log(2^16), (B, 1, H, W); NaN at 0, which is no distance, and from 64500 on."""
    depth = _float(rows)
    return torch.log2(1 + depth).div_(16).masked_fill_((depth >= FAR) | (depth == 0), torch.nan)


def unpack_keypoints(rows: Array) -> Tensor:
    """uint16 (B, H, W) -> [0, .005] of the range as [-1, 1], (B, 1, H, W); NaN where nothing is labelled."""
    return _clipped(rows, KEYPOINTS)


def unpack_edges(rows: Array) -> Tensor:
    """uint16 (B, H, W) -> [0, .08] of the range as [-1, 1], (B, 1, H, W); NaN where nothing is labelled."""
    return _clipped(rows, EDGES)


def _clipped(rows: Array, top: float) -> Tensor:
    values = _float(rows)
    return values.div(FULL).clamp_(max=top).mul_(2 / top).sub_(1).masked_fill_(values == NOTHING, torch.nan)


def _float(rows: Array) -> Tensor:
    return torch.from_numpy(rows.astype(np.float32)).unsqueeze(1)
