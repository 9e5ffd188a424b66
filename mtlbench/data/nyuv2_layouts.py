"""NYUv2's layouts on disk: AdaShare's list, LibMTL's (and MTAN's) arrays, the official MATLAB file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mtlbench.data.cache import Column
from mtlbench.data.dense import (
    INPUT,
    Source,
    pack_classes,
    pack_depth,
    unpack_classes,
    unpack_images,
    unpack_png_normals,
    unpack_reals,
)
from mtlbench.data.files import array, bad, groups, inside, label_image, load_json, photo, require
from mtlbench.errors import DataError
from mtlbench.tasks import Task

LISTING = "nyu_v2_3task.json"
EXPECTED = f"{LISTING}, or train/ and val/ with image, label, depth and normal, or nyu_depth_v2_labeled.mat"
MAX_DEPTH = 20.0  # metres; the sensor ends at 10
PUBLISHED_SIZES = ((480, 640), (288, 384))
FIELDS = (INPUT, "segmentation", "normals", "depth")


def recognise(root: Path, classes: int | None, derived: bool | None) -> Source:
    """The source in `root`, by what lies there. DataError where nothing does, or its list is damaged."""
    if (root / LISTING).is_file():
        return adashare(root, classes or 40, derived)
    raise DataError(f"'{root}': no layout of NYUv2 (expected: {EXPECTED})")


def tasks(size: tuple[int, int], classes: int, derived: bool | None) -> tuple[Task, ...]:
    """The three tasks; unasked, normals count as derived where the images have no published size."""
    return (
        Task("segmentation", "segmentation", classes),
        Task("normals", "normals", 3, derived=size not in PUBLISHED_SIZES if derived is None else derived),
        Task("depth", "depth", 1, unit="m"),
    )


def adashare(root: Path, classes: int, derived: bool | None) -> Source:
    """AdaShare's: groups [image, segmentation, normal, depth] of paths in a JSON list, with train1 and train2."""
    listing = root / LISTING
    content = load_json(listing, "AdaShare's list of NYUv2")
    rows = {key: groups(listing, content, key, len(FIELDS)) for key in ("train", "test")}
    size = photo(inside(root, rows["train"][0][0], listing)).shape[:2]
    paths = {
        (split, field): [require(inside(root, row[i], listing), f"named in {LISTING}") for row in rows[split]]
        for split in rows
        for i, field in enumerate(FIELDS)
    }
    columns = {key: _adashare_column(key, files, size, classes) for key, files in paths.items()}
    return Source("adashare", size, tasks(size, classes, derived), columns, _parts(listing, content, rows["train"]))


def _parts(listing: Path, content: dict[str, object], train: list[list[str]]) -> tuple[np.ndarray, np.ndarray] | None:
    """train1 and train2 as indices into train, where the list has them."""
    if "train1" not in content and "train2" not in content:
        return None
    place = {row[0]: i for i, row in enumerate(train)}
    parts = []
    for key in ("train1", "train2"):
        rows = groups(listing, content, key, len(FIELDS))
        strange = [row[0] for row in rows if row[0] not in place]
        if strange:
            bad(listing, f"'{key}' names '{strange[0]}', which 'train' does not", f"'{key}' is a part of 'train'")
        parts.append(np.unique([place[row[0]] for row in rows]))
    if np.intersect1d(*parts).size:
        bad(listing, "'train1' and 'train2' share images", "two parts of 'train' without a common image")
    return parts[0], parts[1]


def _adashare_column(key: tuple[str, str], files: Sequence[Path], size: tuple[int, int], classes: int) -> Column:
    split, field = key
    name = f"{split}/{field}"
    if field == INPUT:
        return Column(name, len(files), (*size, 3), "u1", files, lambda i: photo(files[i], size), unpack_images)
    if field == "normals":
        return Column(
            name,
            len(files),
            (*size, 3),
            "u1",
            files,
            lambda i: label_image(files[i], ("RGB",), size),
            unpack_png_normals,
        )
    if field == "depth":
        return Column(
            name,
            len(files),
            size,
            "f4",
            files,
            lambda i: pack_depth(files[i], array(files[i], "fui", size), MAX_DEPTH),
            unpack_reals,
        )
    return Column(
        name,
        len(files),
        size,
        "u1",
        files,
        lambda i: pack_classes(files[i], label_image(files[i], ("L", "P"), size), classes, (255,)),
        unpack_classes,
        f"{classes}",
    )
