"""`scenes`, the embedded data set: furnished rooms ray-cast from a seed, with five dense tasks as in Tiny-Taskonomy.

docs/scenes.md is its datasheet. `python -m mtlbench.data.scenes PICTURE.png` draws examples.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlbench.data.augment import Augmentation, Zoom, augment
from mtlbench.data.base import ALL, Batch, DataOptions, Dataset
from mtlbench.data.disk.cache import Column, Stored, ahead, load
from mtlbench.data.disk.stored import combine
from mtlbench.data.rendering.heat import corner_heat, edge_heat
from mtlbench.data.rendering.paint import photograph
from mtlbench.data.rendering.raycast import View, view
from mtlbench.data.rendering.rooms import CLASSES, furnish
from mtlbench.seeding import derive
from mtlbench.tasks import VOID, Task, select_tasks

RENDERER = 2  # raise it with any change of a stored bit
DEPTH_STEP = 1 / 4096  # metres
DEPTH_LIMIT = 15.9
NORMAL_STEP = 1 / 32767
MEAN, DEVIATION = 0.5, 0.25  # of the inputs' normalisation, all channels alike
TINT = (0.65, 0.5, 0.35)  # of a double exposure: the first room's share of red, green and blue
FIVE = (
    Task("segmentation", "segmentation", len(CLASSES), classes=CLASSES),
    Task("normals", "normals", 3),
    Task("depth", "depth", 1, unit="m"),
    Task("keypoints", "keypoints", 1),
    Task("edges", "edges", 1),
)
TWINS = (
    Task("depth", "depth", 1, unit="m"),
    Task("depth2", "depth", 1, unit="m"),
    Task("rival", "depth", 1, unit="m"),
)
WEIGHTS = {
    "segmentation": 1.0,
    "normals": 4.0,
    "depth": 1.5,
    "keypoints": 8.0,
    "edges": 8.0,
    "depth2": 1.5,
    "rival": 1.5,
}
SECOND = frozenset({"segmentation", "keypoints", "edges", "rival"})
"""The tasks that describe the second room of a double exposure; the others describe the first."""
PLANES: Mapping[str, Mapping[str, int]] = {
    "five": {"image": 3, "segmentation": 1, "normals": 6, "depth": 2, "keypoints": 1, "edges": 1},
    "twins": {"image": 3, "depth": 2, "rival": 2},
}
"""Bytes a pixel of each stored field."""


class ScenesOptions(DataOptions):
    """`images` and `test_images` in the splits, square ones of `size` pixels.

    `variant` "five" has the tasks of Tiny-Taskonomy, "twins" has depth, depth2 (the same labels) and rival. `conflict` is
    the share of images that are double exposures, where two groups of tasks describe two independent rooms (None: 0 for
    five, 1 for twins). `missing` is the share of images that lack a task's labels, for each task on its own. `zoom` and
    `mirror` augment training batches.
    """

    images: int = Field(default=1000, ge=2, le=1_000_000, description="Training images.")
    test_images: int = Field(default=300, ge=1, le=1_000_000, description="Test images.")
    size: int = Field(default=64, ge=32, le=512, multiple_of=8, description="The side of an image in pixels.")
    seed: int = Field(default=0, ge=0, lt=1 << 63, description="What the rooms are drawn from.")
    variant: Literal["five", "twins"] = Field(
        default="five", description="five has the tasks of Tiny-Taskonomy, twins has depth twice and a rival."
    )
    conflict: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="The share of double exposures: two groups of tasks, two rooms (null: 0 for five, 1 for twins).",
    )
    missing: float = Field(
        default=0.0, ge=0, lt=1, description="The share of images that lack a task's labels, for each task on its own."
    )
    zoom: tuple[Zoom, Zoom] = Field(
        default=(0.8, 1.25), description="The smallest and the largest zoom of a training image."
    )
    mirror: bool = Field(default=True, description="Whether half of the training images are mirrored.")


class Scenes(Dataset):
    """Rendered rooms: segmentation, normals, depth, keypoints and edges, or the twins."""

    name: ClassVar[str] = "scenes"
    size_option: ClassVar[str | None] = "size"
    Options: ClassVar[type[DataOptions]] = ScenesOptions
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {  # the trial that was best for both anchors (results/tuning)
            "backbone": "resnet18", "width": 0.125, "head": 16, "steps": 300, "batch_size": 16,
            "lr": 6.7e-3, "weight_decay": 5.6e-4, "dropout": 0.06,
        },
        "standard": {"backbone": "resnet18", "width": 0.25, "head": 32, "steps": 3000, "batch_size": 16, "lr": 2e-3},
        "paper": {
            "backbone": "resnet34", "width": 1.0, "head": 1024, "dropout": 0.5, "init": "normal",
            "steps": 20000, "batch_size": 16, "lr": 1e-3,
        },
    }  # fmt: skip
    normalisation = ((MEAN,) * 3, (DEVIATION,) * 3)

    def __init__(self, options: ScenesOptions, root: Path | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(options, root, tasks)
        self._options = options
        self.tasks = select_tasks(FIVE if options.variant == "five" else TWINS, tasks)
        names = tuple(t.name for t in self.tasks)
        self.shape = (3, options.size, options.size)
        self.streams = {ALL: names}
        self.weights = {name: WEIGHTS[name] for name in names}
        self.layout = f"rendered, {options.variant}"
        self._planes = PLANES[options.variant]
        self._stored: dict[str, Stored] = {split: self._load(split) for split in ("train", "test")}
        contents = {split: stored.fingerprint for split, stored in self._stored.items()}
        self.fingerprint = combine({**contents, "options": options.model_dump_json(), "renderer": str(RENDERER)})
        self._augmentation = Augmentation(options.zoom, options.mirror)

    def _load(self, split: str) -> Stored:
        options, count = self._options, self.size(split, ALL)
        shape = (sum(self._planes.values()), options.size, options.size)
        conflict = double_share(options)
        settings = f"renderer {RENDERER}, seed {options.seed}, {options.variant}, conflict {conflict!r}, {count} images"

        def rows() -> Iterator[np.ndarray]:
            print(f"scenes: rendering {count} {split} images of {options.size}x{options.size}, once", file=sys.stderr)
            return ahead(lambda index: pack(render(options, split, index), self._planes), range(count))

        column = Column(split, count, shape, "uint8", (), rows, torch.from_numpy, settings)
        return load(column, Path(Path().absolute().anchor), self.name)

    def size(self, split: str, stream: str) -> int:
        return self._options.test_images if split == "test" else self._options.images

    def items(self, split: str, stream: str, indices: Sequence[int]) -> Batch:
        rows = self._stored[split].read(indices)
        fields = dict(zip(self._planes, rows.split(list(self._planes.values()), dim=1), strict=True))
        targets = {t.name: unpack(t, fields["depth" if t.name == "depth2" else t.name]) for t in self.tasks}
        for task in self.tasks if self._options.missing else ():
            void = VOID if task.meaning.integers else torch.nan
            targets[task.name][self._unlabelled(split, task.name, indices)] = void
        return Batch(fields["image"].float().div_(255.0).sub_(MEAN).div_(DEVIATION), targets)

    def strata(self, stream: str) -> np.ndarray:
        return np.zeros(self.size("train", stream), np.int64)  # every image is a room of its own

    def _unlabelled(self, split: str, task: str, indices: Sequence[int]) -> Tensor:
        """Which images lack this task's labels: at random, whatever the run's seed; more of them for a larger share."""
        keys = (derive("scenes", self._options.seed, split, int(index), "missing", task) for index in indices)
        return torch.tensor([key * 2.0**-63 < self._options.missing for key in keys])

    def augment(self, batch: Batch, random: torch.Generator) -> Batch:
        return augment(batch, self.tasks, self._augmentation, random)


def double_share(options: ScenesOptions) -> float:
    """The share of double exposures."""
    if options.conflict is not None:
        return options.conflict
    return 1.0 if options.variant == "twins" else 0.0


def render(options: ScenesOptions, split: str, index: int) -> dict[str, np.ndarray]:
    """One image (3, H, W) in [0, 1] and the labels of all tasks: a pure function of the seed, split, index and options.

    Real labels are float64: depth (H, W) in metres, normals (3, H, W), keypoints and edges (H, W) in [0, 1]. In a double
    exposure the second room lies upside down over the first, and the tasks of SECOND describe it.
    """
    key = ("scenes", options.seed, split, index)
    doubled = derive(*key, "double") * 2.0**-63 < double_share(options)
    image, first = _expose(derive(*key, "room"), options)
    if not doubled:
        return {"image": image, **first}
    over, second = _expose(derive(*key, "second room"), options)
    share = np.array(TINT, np.float32).reshape(3, 1, 1)
    image = image * share + over[:, ::-1] * (1 - share)
    return {"image": image, **{name: second[name][::-1] if name in SECOND else first[name] for name in first}}


def _expose(seed: int, options: ScenesOptions) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    world = furnish(seed)
    seen: View = view(world, options.size)
    image = photograph(world, options.size)
    if options.variant == "twins":
        return image, {"depth": seen.depth, "rival": seen.depth}
    return image, {
        "segmentation": seen.label,
        "normals": seen.normals,
        "depth": seen.depth,
        "keypoints": corner_heat(world, options.size),
        "edges": edge_heat(seen.face),
    }


def pack(fields: Mapping[str, np.ndarray], planes: Mapping[str, int]) -> np.ndarray:
    """The fields as they are stored: uint8 (planes, H, W), 16-bit values as their high and low bytes."""
    parts: list[np.ndarray] = []
    for name in planes:
        value = fields[name].reshape(-1, *fields[name].shape[-2:])
        if name == "normals":
            parts.extend(_bytes(np.rint(value / NORMAL_STEP) + 32768))
        elif name in ("depth", "rival"):
            parts.extend(_bytes(np.rint(np.minimum(value, DEPTH_LIMIT) / DEPTH_STEP)))
        else:
            parts.append(value.astype(np.uint8) if name == "segmentation" else np.rint(value * 255).astype(np.uint8))
    return np.concatenate(parts)


def _bytes(value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    whole = value.astype(np.uint16)
    return (whole >> 8).astype(np.uint8), (whole & 255).astype(np.uint8)


def unpack(task: Task, stored: Tensor) -> Tensor:
    """A task's target from its stored planes (B, planes, H, W)."""
    if stored.shape[1] == 1:
        return stored[:, 0].long() if task.meaning.integers else stored.float().div_(255.0)
    high, low = stored.float().chunk(2, dim=1)
    value = high.mul_(256.0).add_(low)
    if task.channels == 1:
        return value.mul_(DEPTH_STEP)
    normals = value.sub_(32768.0)
    return normals.div_(normals.square().sum(1, keepdim=True).sqrt_())
