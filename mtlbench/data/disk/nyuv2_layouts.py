"""NYUv2's layouts on disk: AdaShare's list, LibMTL's (and MTAN's) arrays, the official MATLAB file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mtlbench.data.disk.cache import Column
from mtlbench.data.disk.class_names import NYUV2, NYUV2_13_OF_40
from mtlbench.data.disk.dense import (
    STORED_VOID,
    WHITE,
    Form,
    pack_classes,
    pack_depth,
    pack_normals,
    pack_unit_image,
    unpack_classes,
    unpack_png_normals,
    unpack_reals,
    unpack_unit_normals,
)
from mtlbench.data.disk.files import Array, array
from mtlbench.data.disk.images import label_image, photo
from mtlbench.data.disk.layouts import listed, numbered_folders
from mtlbench.data.disk.nyuv2_matlab import MATLAB, matlab
from mtlbench.data.disk.source import Source
from mtlbench.data.disk.stored import INPUT, unpack_images
from mtlbench.errors import DataError
from mtlbench.tasks import Task

LISTING = "nyu_v2_3task.json"
EXPECTED = f"{LISTING}, or train/ and val/ with image, label, depth and normal, or {MATLAB}"
MAX_DEPTH = 20.0  # metres; the sensor ends at 10
PUBLISHED_SIZES = ((480, 640), (288, 384))
FIELDS = (INPUT, "segmentation", "normals", "depth")  # in the order of AdaShare's groups
FOLDERS = {INPUT: "image", "segmentation": "label", "normals": "normal", "depth": "depth"}


def recognise(root: Path, classes: int | None, derived: bool | None) -> Source:
    """The source in `root`, by what lies there. DataError where nothing does, or its list is damaged."""
    if (root / LISTING).is_file():
        return adashare(root, classes or 40, derived)
    if (root / MATLAB).is_file():
        return matlab(root, classes or 40, MAX_DEPTH)
    if (root / "train" / "image").is_dir():
        return libmtl(root, classes or 13, derived)
    raise DataError(f"'{root}': no layout of NYUv2 (expected: {EXPECTED})")


def tasks(size: tuple[int, int], classes: int, derived: bool | None) -> tuple[Task, ...]:
    """The three tasks; unasked, normals count as derived where the images have no published size."""
    derived = size not in PUBLISHED_SIZES if derived is None else derived
    return (
        Task("segmentation", "segmentation", classes, classes=NYUV2[classes]),
        Task("normals", "normals", 3, derived=derived),
        Task("depth", "depth", 1, unit="m"),
    )


def adashare(root: Path, classes: int, derived: bool | None) -> Source:
    """AdaShare's: groups [image, segmentation, normal, depth] of paths in a JSON list, with train1 and train2."""
    paths, parts = listed(root / LISTING, FIELDS)
    height, width, _ = photo(paths["train", INPUT][0]).shape
    columns = {key: _adashare_column(key, files, (height, width), classes) for key, files in paths.items()}
    return Source("adashare", (height, width), tasks((height, width), classes, derived), columns, parts)


def _adashare_column(key: tuple[str, str], files: Sequence[Path], size: tuple[int, int], classes: int) -> Column:
    forms: dict[str, Form] = {
        INPUT: ((*size, 3), "u1", lambda p: photo(p, size), unpack_images, None),
        "segmentation": (
            size,
            "u1",
            lambda p: _classes(p, label_image(p, ("L", "P"), size), classes),
            unpack_classes,
            STORED_VOID,
        ),
        "normals": ((*size, 3), "u1", lambda p: label_image(p, ("RGB",), size), unpack_png_normals, WHITE),
        "depth": (size, "f4", lambda p: pack_depth(p, array(p, "f", size), MAX_DEPTH), unpack_reals, np.nan),
    }
    return Column.of_files("/".join(key), files, *forms[key[1]], settings=f"{classes}")


def _classes(path: Path, labels: Array, classes: int) -> Array:
    """The 40 classes that AdaShare's files hold, or the 13 that they form; 255 unlabelled."""
    fine = pack_classes(path, labels, 40)
    table = np.full(256, STORED_VOID, np.uint8)
    table[:40] = np.arange(40) if classes == 40 else np.array(NYUV2_13_OF_40) - 1
    packed: Array = table[fine]
    return packed


def libmtl(root: Path, classes: int, derived: bool | None) -> Source:
    """LibMTL's and MTAN's: {train,val}/{image,label,depth,normal}/<i>.npy; "val" is the official test split."""
    paths = numbered_folders(root, FOLDERS)
    height, width, _ = array(paths["train", INPUT][0], "f", (None, None, 3)).shape
    columns = {key: _libmtl_column(key, files, (height, width), classes) for key, files in paths.items()}
    return Source("libmtl", (height, width), tasks((height, width), classes, derived), columns)


def _libmtl_column(key: tuple[str, str], files: Sequence[Path], size: tuple[int, int], classes: int) -> Column:
    whole = (*size, 3)
    forms: dict[str, Form] = {
        INPUT: (whole, "u1", lambda p: pack_unit_image(p, array(p, "f", whole)), unpack_images, None),
        "segmentation": (
            size,
            "u1",
            lambda p: pack_classes(p, array(p, "fiu", size), classes),
            unpack_classes,
            STORED_VOID,
        ),
        "normals": (whole, "i2", lambda p: pack_normals(p, array(p, "f", whole)), unpack_unit_normals, 0),
        "depth": (
            size,
            "f4",
            lambda p: pack_depth(p, array(p, "f", (*size, 1))[..., 0], MAX_DEPTH),
            unpack_reals,
            np.nan,
        ),
    }
    return Column.of_files("/".join(key), files, *forms[key[1]], settings=f"{classes}")
