"""Zoom, mirror and crop of whole batches, inputs and labels alike, by one axis-parallel affine map an image.

An output pixel u of a crop shows the point (u + offset + 1/2) / zoom - 1/2 of its image (pixel centres are integers), a
mirrored image's columns in reverse. Inputs are read bilinearly (`grid_sample`), labels by nearest neighbour: one index
map for all of them, and a gather. torchvision's functionals do the same an image and a label at a time; on 8 images of
96x128 with three labels the batched form takes about 2 ms on one thread, and it is exact wherever nothing is zoomed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from mtlbench.data.base import Batch
from mtlbench.errors import ConfigError
from mtlbench.tasks import VOID, Task

Zoom = Annotated[float, Field(ge=1 / 16, le=16)]
DepthZoom = Callable[[Tensor, Tensor], Tensor]
"""What a zoom does to a depth label: (depth (B, 1, H, W), zoom (B, 1, 1, 1)) -> depth."""


def metric_depth(depth: Tensor, zoom: Tensor) -> Tensor:
    """Depth in metres, or any unit of length: at fixed intrinsics what looks s times larger is s times nearer."""
    return depth / zoom


def inverse_depth(depth: Tensor, zoom: Tensor) -> Tensor:
    """Inverse depth or disparity."""
    return depth * zoom


def log_depth(depth: Tensor, zoom: Tensor) -> Tensor:
    """Taskonomy's log(1 + d) / log(2^16), d in its own unit of length."""
    return torch.log2(1 + (torch.exp2(16 * depth) - 1) / zoom) / 16


def unscaled_depth(depth: Tensor, zoom: Tensor) -> Tensor:
    """A label that a zoom leaves as it is (depth up to scale, say)."""
    return depth


def fits_crop(crop: int | None, size: tuple[int, int]) -> None:
    """ConfigError where a crop is larger than the images (H, W): training would see their padding."""
    if crop is not None and crop > min(size):
        raise ConfigError(
            f"crop is {crop} (allowed: up to {min(size)}, the shorter side of the {size[0]}x{size[1]} images)"
        )


@dataclass(frozen=True)
class Augmentation:
    """How a data set's batches vary: uniform `zoom` factors, mirroring half of the images, a random `crop` (H, W).

    `crop` None is the images' own size. Images smaller than the crop are padded, their padding unlabelled. `depth` says
    what a zoom does to depth labels.
    """

    zoom: tuple[float, float] = (1.0, 1.0)
    mirror: bool = True
    crop: tuple[int, int] | None = None
    depth: DepthZoom = metric_depth

    def __post_init__(self) -> None:
        low, high = self.zoom
        if not 0 < low <= high < float("inf"):
            raise ConfigError(f"zoom is {self.zoom} (allowed: two factors above 0 in rising order)")
        if self.crop is not None and min(self.crop) < 1:
            raise ConfigError(f"crop is {self.crop} (allowed: a height and a width of 1 or more)")


@dataclass(frozen=True)
class Affine:
    """One map an image: `zoom` (B,) float64, `offset` (B, 2) in whole pixels of the zoomed image, `mirror` (B,) bool."""

    zoom: Tensor
    offset: Tensor
    mirror: Tensor

    def source(self, axis: int, length: int) -> Tensor:
        """The image coordinate (B, length) that each of `length` output rows (axis 0) or columns (axis 1) shows."""
        place = torch.arange(length, dtype=torch.float64, device=self.zoom.device).expand(len(self.zoom), -1)
        if axis == 1:
            place = torch.where(self.mirror.unsqueeze(1), length - 1 - place, place)
        return (place + self.offset[:, axis : axis + 1] + 0.5) / self.zoom.unsqueeze(1) - 0.5

    def place(self, axis: int, coordinate: Tensor, length: int) -> Tensor:
        """Where an image coordinate (B,) comes to lie in the output: the inverse of `source` (the principal point, say)."""
        place = (coordinate + 0.5) * self.zoom - 0.5 - self.offset[:, axis]
        return torch.where(self.mirror, length - 1 - place, place) if axis == 1 else place

    def to(self, device: torch.device) -> Affine:
        """The same maps on a device."""
        return Affine(self.zoom.to(device), self.offset.to(device), self.mirror.to(device))


def draw(settings: Augmentation, count: int, size: tuple[int, int], random: torch.Generator) -> Affine:
    """Maps for `count` images of this size (H, W): a pure function of the settings and the generator's state.

    The crop lies anywhere inside a larger zoomed image, and a smaller one anywhere inside the crop.
    """
    low, high = settings.zoom
    chance = torch.rand(count, 4, dtype=torch.float64, generator=random)
    zoom = low + (high - low) * chance[:, 0]
    crop = torch.tensor(settings.crop or size, dtype=torch.float64)
    room = zoom.unsqueeze(1) * torch.tensor(size, dtype=torch.float64) - crop  # (B, 2)
    places = room.abs().floor() + 1
    offset = room.sign() * (chance[:, 1:3] * places).floor().clamp(max=places - 1)
    return Affine(zoom, offset, (chance[:, 3] < 0.5) & settings.mirror)


def apply(batch: Batch, tasks: Sequence[Task], affine: Affine, settings: Augmentation) -> Batch:
    """A batch of images (B, C, H, W) and its targets under the maps, cropped to the settings' size.

    Outside an image inputs are 0, integer labels -1 and real ones NaN. What a zoom or a mirror does to a label's values
    is its kind's (depth: as the settings say). Labels of whole inputs stay as they are.
    """
    affine = affine.to(batch.inputs.device)
    size = (batch.inputs.shape[-2], batch.inputs.shape[-1])
    crop = settings.crop or size
    rows, columns = affine.source(0, crop[0]), affine.source(1, crop[1])
    nearest = _Nearest(rows, columns, size)
    known = {task.name: task for task in tasks}
    targets = {name: _target(known[name], target, nearest, affine, settings) for name, target in batch.targets.items()}
    return Batch(_input(batch.inputs, rows, columns, nearest, affine), targets)


def augment(batch: Batch, tasks: Sequence[Task], settings: Augmentation, random: torch.Generator) -> Batch:
    """A batch under freshly drawn maps; every draw comes from `random`."""
    size = (batch.inputs.shape[-2], batch.inputs.shape[-1])
    return apply(batch, tasks, draw(settings, len(batch.inputs), size, random), settings)


class _Nearest:
    """The nearest image pixel of every output pixel, and the mask of those that lie inside the image."""

    def __init__(self, rows: Tensor, columns: Tensor, size: tuple[int, int]) -> None:
        self.shape = (rows.shape[1], columns.shape[1])
        row, row_inside = _nearest(rows, size[0])
        column, column_inside = _nearest(columns, size[1])
        self.index = (row.unsqueeze(2) * size[1] + column.unsqueeze(1)).flatten(1).unsqueeze(1)  # (B, 1, H' * W')
        self.inside = row_inside.unsqueeze(2) & column_inside.unsqueeze(1)  # (B, H', W')
        self.padded = not bool(row_inside.all() and column_inside.all())
        # Masks act by arithmetic, x + NaN say: several times faster than masked_fill.
        self.gap = torch.zeros_like(self.inside, dtype=torch.float32).masked_fill_(~self.inside, torch.nan).unsqueeze(1)

    def take(self, values: Tensor) -> Tensor:
        """Images or labels (B, C, H, W) -> (B, C, H', W'); what lies outside repeats the border."""
        index = self.index.expand(-1, values.shape[1], -1)
        return values.flatten(2).gather(2, index).view(*values.shape[:2], *self.shape)

    def zeroed(self, image: Tensor) -> Tensor:
        """An output image with 0 outside."""
        return image.mul_(self.inside.unsqueeze(1).to(image.dtype)) if self.padded else image


def _nearest(coordinate: Tensor, length: int) -> tuple[Tensor, Tensor]:
    index = (coordinate + 0.5).floor().long()
    return index.clamp(0, length - 1), (index >= 0) & (index < length)


def _input(image: Tensor, rows: Tensor, columns: Tensor, nearest: _Nearest, affine: Affine) -> Tensor:
    aligned = affine.zoom == 1.0  # pixel centres meet pixel centres: nothing to interpolate, and bit for bit the same
    if aligned.all():
        return nearest.zeroed(nearest.take(image))
    height, width = image.shape[-2:]
    y = ((2 * rows + 1) / height - 1).to(image.dtype)
    x = ((2 * columns + 1) / width - 1).to(image.dtype)
    shape = (len(image), *nearest.shape)
    grid = torch.stack((x.unsqueeze(1).expand(shape), y.unsqueeze(2).expand(shape)), -1)
    smooth = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    if aligned.any():
        smooth = torch.where(aligned.view(-1, 1, 1, 1), nearest.take(image), smooth)
    return nearest.zeroed(smooth)


def _target(task: Task, target: Tensor, nearest: _Nearest, affine: Affine, settings: Augmentation) -> Tensor:
    if not task.dense:
        return target
    if task.meaning.integers:
        classes = nearest.take(target.unsqueeze(1)).squeeze(1)
        inside = nearest.inside.to(classes.dtype)
        return classes.mul_(inside).add_(inside - 1, alpha=-VOID) if nearest.padded else classes
    target = nearest.take(target)
    zoom = affine.zoom.to(target.dtype).view(-1, 1, 1, 1)
    target = task.meaning.moved(target, zoom, affine.mirror, settings.depth)
    return target.add_(nearest.gap) if nearest.padded else target
