"""CityScapes' layouts on disk: AdaShare's list, LibMTL's arrays, the official tree."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mtlbench.data.disk.cache import Column
from mtlbench.data.disk.class_names import CITYSCAPES
from mtlbench.data.disk.dense import (
    STORED_VOID,
    Form,
    pack_classes,
    pack_depth,
    pack_unit_image,
    unpack_classes,
    unpack_reals,
)
from mtlbench.data.disk.files import Array, array, bad
from mtlbench.data.disk.folders import found
from mtlbench.data.disk.images import label_image, photo
from mtlbench.data.disk.layouts import listed, numbered_folders
from mtlbench.data.disk.resize import nearest
from mtlbench.data.disk.source import Source
from mtlbench.data.disk.stored import INPUT, unpack_images
from mtlbench.errors import DataError
from mtlbench.tasks import Task

LISTING = "cityscape.json"
EXPECTED = f"{LISTING}, or train/ and val/ with image, label and depth, or leftImg8bit/, gtFine/ and disparity/"
GRANULARITIES = (2, 7, 19)
MAX_INVERSE_DEPTH = 1000.0  # far above any: the lists' unit is not documented
SPLITS = {"train": "train", "test": "val"}  # the official test split has no public labels
FOCAL, BASELINE = 2262.52, 0.209313  # pixels and metres, of nearly all of the set's cameras

# The official labels 0..33: the 19 classes evaluated, and the category (7) of each; all others are unlabelled at every
# granularity. Two classes are background and foreground (humans and vehicles), as MTAN's table 1 divides the categories.
CLASSES_19 = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
              28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip
CATEGORIES = (0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6)
FOREGROUND = 5
VOID_ID = 255  # licence plates: -1 in 8 bits


def recognise(root: Path, classes: int | None, height: int) -> Source:
    """The source in `root`, by what lies there. DataError where nothing does, or its list is damaged."""
    if (root / LISTING).is_file():
        return adashare(root, classes or 19)
    if (root / "leftImg8bit").is_dir():
        return official(root, classes or 19, height)
    if (root / "train" / "image").is_dir():
        return libmtl(root, classes or 7)
    raise DataError(f"'{root}': no layout of CityScapes (expected: {EXPECTED})")


def tasks(classes: int, unit: str) -> tuple[Task, ...]:
    """Segmentation and inverse depth."""
    names = CITYSCAPES[classes]
    return Task("segmentation", "segmentation", classes, classes=names), Task("depth", "depth", 1, unit=unit)


def adashare(root: Path, classes: int) -> Source:
    """AdaShare's: groups [image, inverse depth, labels of 2, 7, 19 classes] of .npy files in a JSON list."""
    fields = (INPUT, "depth", *("segmentation" if n == classes else None for n in GRANULARITIES))
    paths, parts = listed(root / LISTING, fields)
    first = paths["train", INPUT][0]
    image = array(first, "fu", (None, None, 3))
    # Nothing says whether the published arrays hold [0, 1] or [0, 255]; the first one does, and all must agree with it.
    scale = 255.0 if image.dtype.kind == "u" or image.max(initial=0) > 1 else 1.0
    return _arrays("adashare", paths, (image.shape[0], image.shape[1]), classes, scale, parts)


def libmtl(root: Path, classes: int) -> Source:
    """LibMTL's: {train,val}/{image,label,depth}/<i>.npy; "val" is the test split."""
    paths = numbered_folders(root, {INPUT: "image", "segmentation": "label", "depth": "depth"})
    height, width, _ = array(paths["train", INPUT][0], "f", (None, None, 3)).shape
    return _arrays("libmtl", paths, (height, width), classes, 1.0, None)


def _arrays(
    layout: str,
    paths: dict[tuple[str, str], list[Path]],
    size: tuple[int, int],
    classes: int,
    scale: float,
    parts: tuple[np.ndarray, np.ndarray] | None,
) -> Source:
    whole, plane = (*size, 3), (*size, 1)
    forms: dict[str, Form] = {
        INPUT: (whole, "u1", lambda p: pack_unit_image(p, array(p, "fu", whole), scale), unpack_images, None),
        "segmentation": (
            size,
            "u1",
            lambda p: pack_classes(p, array(p, "fiu", size), classes),
            unpack_classes,
            STORED_VOID,
        ),
        "depth": (
            size,
            "f4",
            lambda p: _inverse_depth(p, array(p, "f", size, plane).reshape(size)),
            unpack_reals,
            np.nan,
        ),
    }
    columns = {
        key: Column.of_files("/".join(key), files, *forms[key[1]], settings=f"{classes} {scale}")
        for key, files in paths.items()
    }
    return Source(layout, size, tasks(classes, ""), columns, parts)


def _inverse_depth(path: Path, values: Array) -> Array:
    return pack_depth(path, np.where(values == -1, 0, values), MAX_INVERSE_DEPTH, "inverse depth")


def official(root: Path, classes: int, height: int) -> Source:
    """The official tree of 1024x2048 images, brought to `height`: leftImg8bit, gtFine (labelIds) and disparity."""
    size = (height, 2 * height)
    endings = {INPUT: "leftImg8bit", "segmentation": "gtFine_labelIds", "depth": "disparity"}
    folders = {INPUT: "leftImg8bit", "segmentation": "gtFine", "depth": "disparity"}
    forms: dict[str, Form] = {
        INPUT: ((*size, 3), "u1", lambda p: _photo(p, size), unpack_images, None),
        "segmentation": (size, "u1", lambda p: _labels(p, size, classes), unpack_classes, STORED_VOID),
        "depth": (size, "f4", lambda p: _disparity(p, size), unpack_reals, np.nan),
    }
    columns: dict[tuple[str, str], Column] = {}
    for split, place in SPLITS.items():
        images = found(root / folders[INPUT] / place, f"*/*_{endings[INPUT]}.png")
        if not images:
            bad(root / folders[INPUT] / place, "no image", f"<city>/<image>_{endings[INPUT]}.png")
        stems = [f"{p.parent.name}/{p.name.removesuffix(f'{endings[INPUT]}.png')}" for p in images]
        for field, form in forms.items():
            files = [root / folders[field] / place / f"{stem}{endings[field]}.png" for stem in stems]
            columns[split, field] = Column.of_files(f"{split}/{field}", files, *form, settings=f"{classes} {height}")
    return Source("official", size, tasks(classes, "1/m"), columns)


def _photo(path: Path, size: tuple[int, int]) -> Array:
    picture = photo(path)
    _check_shape(path, picture)
    return np.asarray(Image.fromarray(picture).resize(size[::-1], Image.Resampling.BOX))


def _labels(path: Path, size: tuple[int, int], classes: int) -> Array:
    ids = _nearest(path, label_image(path, ("L",)), size)
    if np.any((ids > max(CLASSES_19)) & (ids != VOID_ID)):
        bad(path, f"label {ids[ids != VOID_ID].max()}", f"0 to {max(CLASSES_19)}, or {VOID_ID}")
    classified: Array = _table(classes)[ids]
    return classified


def _table(classes: int) -> Array:
    """Official label -> stored class, 255 unlabelled."""
    table = np.full(256, VOID_ID, np.uint8)
    for label, fine in CLASSES_19.items():
        category = CATEGORIES[fine]
        table[label] = {19: fine, 7: category, 2: int(category >= FOREGROUND)}[classes]
    return table


def _disparity(path: Path, size: tuple[int, int]) -> Array:
    """16 bits p, 0 missing, disparity (p - 1) / 256 pixels -> inverse depth in 1/m; none where the disparity is 0."""
    values = _nearest(path, label_image(path, ("I;16", "I")), size).astype(np.float32)
    inverse: Array = np.where(values <= 1, np.nan, (values - 1) / 256 / (FOCAL * BASELINE)).astype(np.float32)
    return inverse


def _nearest(path: Path, values: Array, size: tuple[int, int]) -> Array:
    """Every output pixel's centre looked up: labels are never mixed."""
    _check_shape(path, values)
    return nearest(values, size)


def _check_shape(path: Path, values: Array) -> None:
    height, width = values.shape[:2]
    if width != 2 * height:
        bad(path, f"{height}x{width}", "an image twice as wide as high (1024x2048)")
