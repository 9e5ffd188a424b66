"""What the scene sets on disk have in common: a layout found in the folder, cached columns, one stream of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlbench.data.augment import Augmentation, DepthZoom, Zoom, augment, fits_crop, metric_depth
from mtlbench.data.base import ALL, Batch, DataOptions
from mtlbench.data.disk.cache import Column
from mtlbench.data.disk.files import Array, bad
from mtlbench.data.disk.layouts import SPLITS
from mtlbench.data.disk.resize import ImageSize, resized
from mtlbench.data.disk.source import Source
from mtlbench.data.disk.stored import INPUT, StoredDataset
from mtlbench.errors import DataError
from mtlbench.tasks import VOID, select_tasks

STORED_VOID = 255
WHITE = 255
NONE = (-1, 255)  # the numbers that say in every layout that a pixel has no class
SHORT = 0.1  # a normal below this length is no direction: grey 127 and 128 have .007
END = 0.02  # of white and black, where all of a normal's three channels end
_INT16 = 32767.0


Form = tuple[tuple[int, ...], str, Callable[[Path], Array], Callable[[Array], Tensor], float | None]
"""A field's shape and dtype as stored, its reader, its `unpack`, and what is stored where nothing is labelled."""


class DenseOptions(DataOptions):
    """Options of all scene sets: how batches vary. `crop` None is the data set's own rule; zooms are drawn uniformly.

    `image_size` brings images and labels to a shorter side, or HEIGHTxWIDTH (None: the files' own). `absent` says whether an
    image may lack the file of a task's label: it then trains and counts for the others alone.
    """

    crop: int | None = Field(
        default=None,
        ge=8,
        le=65_536,
        description="The side of what training sees of an image (null: the paper's where images are larger, else all of it).",
    )
    zoom_min: Zoom = Field(default=0.5, description="The smallest zoom of a training image.")
    zoom_max: Zoom = Field(default=1.5, description="The largest zoom of a training image.")
    mirror: bool = Field(default=True, description="Whether half of the training images are mirrored.")
    # Kept out of the configuration unless used, so that records from before it was there still name the same run.
    absent: Literal["refuse", "allow"] = Field(
        default="refuse",
        exclude_if=lambda value: value == "refuse",
        description="Whether an image may lack the file of a task's label: it then counts for the others alone.",
    )
    image_size: ImageSize = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="The shorter side that images and labels are brought to, or HEIGHTxWIDTH (null: the files' own).",
    )


class DenseDataset(StoredDataset):
    """Images that carry all labels; a subclass finds the source and hands it to `adopt`."""

    size_option: ClassVar[str | None] = "image_size"
    paper_crop: ClassVar[int]
    """The crop where images are larger: AdaShare's."""
    source: Source

    def adopt(
        self,
        source: Source,
        options: DenseOptions,
        tasks: Sequence[str] | None,
        depth: DepthZoom = metric_depth,
    ) -> None:
        """Take the source's selected tasks at the size asked for, every column of them through the cache."""
        self.source = source = resized(source, options.image_size)
        self.layout = source.layout
        self.tasks = select_tasks(source.tasks, tasks)
        self.streams = {ALL: tuple(t.name for t in self.tasks)}
        self.weights = {t.name: 1.0 for t in self.tasks}
        wanted = (INPUT, *self.streams[ALL])
        columns = {(split, ALL, field): source.columns[split, field] for split in SPLITS for field in wanted}
        for (split, _, field), column in columns.items():
            for error in absences(column, split, field, self.name, options.absent == "allow"):
                raise error
        fits_crop(options.crop, source.size)
        self.keep(columns)
        crop = options.crop or (self.paper_crop if min(source.size) > self.paper_crop else None)
        self.shape = (3, crop, crop) if crop else (3, *source.size)
        zoom = (options.zoom_min, options.zoom_max)
        self.augmentation = Augmentation(zoom, options.mirror, (self.shape[1], self.shape[2]), depth)

    def augment(self, batch: Batch, random: torch.Generator) -> Batch:
        return augment(batch, self.tasks, self.augmentation, random)

    def published_parts(self, stream: str) -> tuple[np.ndarray, np.ndarray] | None:
        return self.source.parts


def absences(column: Column, split: str, field: str, dataset: str, allowed: bool = False) -> list[DataError]:
    """The errors of label files that are not there: one a file unless `allowed`, and one in any case if a split has none."""
    absent = column.absent()
    if absent and len(absent) == column.count:
        given = f"no such file, nor any {field} of the {split} split"
        return [
            DataError(f"'{absent[0]}': {given} (expected: labels for some of its images, or --tasks without {field})")
        ]
    hint = f"--set {dataset}.absent=allow trains the image without it"
    expected = f"the {field} of an image; {hint}"
    return [] if allowed else [DataError(f"'{path}': no such file (expected: {expected})") for path in absent]


# Stored rows (B, H, W[, 3]) -> tensors.


def unpack_classes(rows: Array) -> Tensor:
    """uint8 (B, H, W), 255 unlabelled -> int64 (B, H, W), -1 unlabelled."""
    labels = torch.from_numpy(rows).long()
    return labels.masked_fill_(labels == STORED_VOID, VOID)


def unpack_reals(rows: Array) -> Tensor:
    """float32 (B, H, W), NaN missing -> (B, 1, H, W)."""
    return torch.from_numpy(rows).float().unsqueeze(1)


def unpack_png_normals(rows: Array) -> Tensor:
    """AdaShare's uint8 (B, H, W, 3), (R, G, B) = ((x, z, y) + 1) / 2 * 255 -> unit (B, 3, H, W), NaN without direction."""
    red, green, blue = torch.from_numpy(rows).unbind(-1)
    return directions(torch.stack((red, blue, green), 1))


def unpack_unit_normals(rows: Array) -> Tensor:
    """int16 (B, H, W, 3), x, y, z times 32767, all 0 missing -> unit (B, 3, H, W)."""
    normals = torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous().float()
    return normals.div_(normals.square().sum(1, keepdim=True).sqrt_())  # 0 / 0 is the missing one's NaN


def directions(codes: Tensor) -> Tensor:
    """8-bit codes (B, 3, H, W) of vectors in [-1, 1] as unit vectors, NaN where all black, all white or no direction."""
    vectors = codes.float().div_(127.5).sub_(1.0)
    low, high = vectors.amin(1, keepdim=True), vectors.amax(1, keepdim=True)
    blank = (high - low < END) & (high.abs() > 1 - END)
    length = vectors.square().sum(1, keepdim=True).sqrt_()
    return vectors.div_(length.masked_fill_((length < SHORT) | blank, torch.nan))


# A file's values, checked -> rows as stored.


def pack_classes(path: Path, labels: Array, classes: int) -> Array:
    """Labels 0..classes-1, or one of NONE where unlabelled -> uint8 (H, W), 255 unlabelled."""
    unlabelled = np.isin(labels, NONE)
    wrong = labels[~unlabelled & ((labels < 0) | (labels >= classes) | (labels != np.floor(labels)))]
    if wrong.size:
        given = f"label {wrong.flat[0]}"
        bad(path, given, f"classes 0 to {classes - 1}, or {' or '.join(map(str, NONE))} where unlabelled")
    packed: Array = np.where(unlabelled, STORED_VOID, labels).astype(np.uint8)
    return packed


def pack_depth(path: Path, depth: Array, limit: float, unit: str = "metres") -> Array:
    """Depth, 0 or NaN missing -> float32 (H, W), NaN missing. Negative, infinite or beyond `limit` is an error."""
    depth = depth.astype(np.float32)
    wrong = depth[~np.isnan(depth) & ~((depth >= 0) & (depth <= limit))]
    if wrong.size:
        bad(path, f"depth {wrong.flat[0]:g}", f"0 to {limit:g} {unit}, 0 where missing")
    return np.where(depth == 0, np.float32(np.nan), depth).astype(np.float32)


def pack_normals(path: Path, normals: Array) -> Array:
    """Unit vectors (H, W, 3), 0 or NaN missing -> int16."""
    normals = normals.astype(np.float32)
    length = np.linalg.norm(normals, axis=-1)
    missing = ~np.isfinite(length) | (length < SHORT)
    wrong = length[~missing & (np.abs(length - 1) > 0.1)]
    if wrong.size:
        bad(path, f"a normal of length {wrong.flat[0]:.3g}", "unit vectors, (0, 0, 0) where missing")
    scaled = normals / np.where(missing, 1, length)[..., None] * _INT16
    return np.where(missing[..., None], 0, np.rint(scaled)).astype(np.int16)


def pack_unit_image(path: Path, image: Array, scale: float = 1.0) -> Array:
    """An image with values in [0, scale] -> uint8."""
    image = image.astype(np.float32) / scale
    wrong = image[~((image >= -1e-3) & (image <= 1 + 1e-3))]
    if wrong.size:
        bad(path, f"value {wrong.flat[0] * scale:g}", f"an image in [0, {scale:g}]")
    packed: Array = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return packed
