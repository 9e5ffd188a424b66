"""The contract of a data set, how it is split, and how a batch is drawn as a pure function of (seed, part, stream, draw)."""

from __future__ import annotations

import hashlib
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from mtlbench.seeding import Key, derive, generator
from mtlbench.tasks import Task

ALL = "all"
"""The one stream of a data set whose inputs carry all labels."""


@dataclass(frozen=True)
class Batch:
    """Inputs (B, *shape), and each labelled task's target: (B, H, W), (B, C, H, W) or (B,)."""

    inputs: Tensor
    targets: Mapping[str, Tensor]

    def map(self, change: Callable[[Tensor], Tensor]) -> Batch:
        """Every tensor changed (moved to a device, say)."""
        return Batch(change(self.inputs), {t: change(v) for t, v in self.targets.items()})


@dataclass(frozen=True)
class Reference:
    """A published row: its label, where it is printed, and its metrics {task: {metric: value}}."""

    label: str
    source: str
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class DataOptions(BaseModel):
    """Base of a data set's options, set by `--set dataset.option=value`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    val_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="The share of the training items held back for validation."
    )


class Dataset(ABC):
    """Tasks, splits and items. Images are whole here; augmentation happens on batches.

    A subclass sets, in its constructor: `tasks` (those asked for), `shape` (one training input), `streams` (input stream
    -> the tasks it labels), `weights` (lambda of each task), `fingerprint` (of the content).
    """

    name: ClassVar[str]
    Options: ClassVar[type[DataOptions]] = DataOptions
    size_option: ClassVar[str | None] = None
    """The option that `--image-size` sets, where images have a size."""
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Study settings under each preset (steps, batch_size, width, head, lr ...); keys are RunConfig's."""
    references: ClassVar[Sequence[Reference]] = ()
    normalisation: ClassVar[tuple[tuple[float, ...], tuple[float, ...]]] = (
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
    )
    """Mean and deviation that turn pixels in [0, 1] into inputs (ImageNet's), for pictures that are no items."""

    tasks: tuple[Task, ...]
    shape: tuple[int, ...]
    streams: Mapping[str, tuple[str, ...]]
    weights: Mapping[str, float]
    fingerprint: str
    layout: str = ""

    def __init__(self, options: DataOptions, root: Path | None, tasks: Sequence[str] | None) -> None:
        self.options = options
        self.root = root
        self._parts: dict[tuple[str, str], np.ndarray] = {}

    def preset(self, name: str) -> Mapping[str, Any]:
        """The settings under a preset; a data set may let them follow from what was opened (its tasks, its layout)."""
        return self.presets.get(name, {})

    @abstractmethod
    def size(self, split: str, stream: str) -> int:
        """How many items lie in "train" (validation not yet carved out) or "test"."""

    @abstractmethod
    def items(self, split: str, stream: str, indices: Sequence[int]) -> Batch:
        """Whole items of "train" or "test" as float inputs and targets."""

    def augment(self, batch: Batch, random: torch.Generator) -> Batch:
        """A batch as training sees it; every draw comes from `random`."""
        return batch

    def shown(self, inputs: Tensor) -> np.ndarray | None:
        """Inputs as people see them: RGB pictures (B, H, W, 3) uint8, or texts (B,); None where they are neither."""
        if inputs.ndim != 4 or inputs.shape[1] != 3:
            return None
        mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in self.normalisation)
        pixels = (inputs.float() * deviation + mean).mul(255).round().clamp(0, 255)
        return pixels.to(torch.uint8).permute(0, 2, 3, 1).numpy()

    def published_parts(self, stream: str) -> tuple[np.ndarray, np.ndarray] | None:
        """The data set's own 80/20 lists (indices into "train"), where it has them; validation is taken out after."""
        return None

    def strata(self, stream: str) -> np.ndarray | None:
        """The class of each item of "train" (N,), by which parts are drawn; None where neighbouring items are related."""
        return None

    @property
    def neighbours(self) -> bool:
        """Whether neighbouring items of some stream are related (frames of one room, say)."""
        return any(self.strata(stream) is None for stream in self.streams)

    def indices(self, part: str, stream: str) -> np.ndarray:
        """The items of a part ("train", "train-a", "train-b", "val", "test"): indices into "train" or "test"."""
        key = (part, stream)
        if key not in self._parts:
            self._parts[key] = self._split(part, stream)
        return self._parts[key]

    def _split(self, part: str, stream: str) -> np.ndarray:
        if part == "test":
            return np.arange(self.size("test", stream))
        everything = np.arange(self.size("train", stream))
        val = self._held(stream, everything, self.options.val_fraction, "val")
        train = np.setdiff1d(everything, val)
        if part == "val":
            return val
        if part == "train":
            return train
        published = self.published_parts(stream)
        if published is not None:
            return np.setdiff1d(published[part == "train-b"], val)
        held = self._held(stream, train, 0.2, "train-b")
        return held if part == "train-b" else np.setdiff1d(train, held)

    def _held(self, stream: str, items: np.ndarray, fraction: float, part: str) -> np.ndarray:
        """The items that a part takes away: by class where strata are known, else in blocks."""
        strata = self.strata(stream)
        if strata is None:
            return spread_blocks(items, fraction)
        classes = np.unique(strata, return_inverse=True)[1]
        content = hashlib.sha256(classes.astype("<i8").tobytes()).hexdigest()
        taken: np.ndarray = items[drawn_by_class(classes[items], fraction, "split", stream, part, content)]
        return taken

    def load(self, part: str, stream: str, positions: Sequence[int]) -> Batch:
        """Whole items at positions of a part."""
        split = "test" if part == "test" else "train"
        return self.items(split, stream, self.indices(part, stream)[np.asarray(positions)])


def module_name(name: str) -> str:
    """A task's or domain's name as the modules of a network may bear it, in UTF-8: v1.0 becomes v1_0, type becomes type_."""
    readable = re.sub(r"[^\w +@&(),'-]", "_", os.fsencode(name).decode("utf-8", "backslashreplace")) or "_"
    return f"{readable}_" if hasattr(nn.ModuleDict(), readable) else readable


def spread_blocks(items: np.ndarray, fraction: float, blocks: int = 10) -> np.ndarray:
    """`fraction` of the items in contiguous blocks spread evenly, independent of any seed.

    Neighbours (video frames of one room, say) stay on one side of the cut but for the blocks' edges. At least one item is
    taken, and one left, wherever there are two.
    """
    wanted = _wanted(len(items), fraction)
    blocks = max(1, min(blocks, wanted))
    chunks = np.array_split(items, blocks)
    sizes = [wanted // blocks + (i < wanted % blocks) for i in range(blocks)]
    taken = [chunk[(len(chunk) - n) // 2 :][:n] for chunk, n in zip(chunks, sizes, strict=True)]
    return np.concatenate(taken) if wanted else items[:0]


def drawn_by_class(classes: np.ndarray, fraction: float, *key: Key) -> np.ndarray:
    """Positions of `fraction` of the items, each class (N,) in proportion: sorted, a pure function of classes and key.

    Counts are rounded by largest remainders. A class of two or more lies on both sides of the cut wherever as many items
    are taken as there are such classes; one of a single item is left. As many are taken as by `spread_blocks`.
    """
    if not (wanted := _wanted(len(classes), fraction)):
        return np.arange(0)
    random = np.random.default_rng(derive(*key))
    _, own, counts = np.unique(classes, return_inverse=True, return_counts=True)
    taken = _shared_out(counts, wanted, random.permutation(len(counts)))
    order = random.permutation(len(classes))
    return np.sort(np.concatenate([order[own[order] == c][:n] for c, n in enumerate(taken)]))


def _shared_out(counts: np.ndarray, wanted: int, ties: np.ndarray) -> np.ndarray:
    """How many each class gives, `wanted` together: its exact share, rounded within what leaves it on both sides."""
    most = counts - 1 if (counts - 1).sum() >= wanted else counts
    least = np.minimum(counts - 1, 1) if (counts > 1).sum() <= wanted else np.zeros_like(counts)
    total = int(counts.sum())
    taken: np.ndarray = np.clip(counts * wanted // total, least, most)
    while missing := wanted - int(taken.sum()):
        step = 1 if missing > 0 else -1
        owed = step * (counts * wanted - taken * total)  # in whole numbers: shares that are equal stay equal
        free = ties[(taken < most)[ties] if step > 0 else (taken > least)[ties]]
        taken[free[np.argmax(owed[free])]] += step
    return taken


def _wanted(count: int, fraction: float) -> int:
    """How many of the items a fraction is: one at least, and one left, wherever there are two."""
    return min(max(1, round(count * fraction)), count - 1) if count > 1 else 0


@lru_cache(maxsize=64)
def _order(seed: int, part: str, stream: str, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng(derive("order", seed, part, stream, epoch)).permutation(count)


def draw_positions(seed: int, part: str, stream: str, draw: int, batch_size: int, count: int) -> np.ndarray:
    """Positions of the draw-th batch in an endless sequence of shuffled epochs; epochs follow without a gap."""
    places = np.arange(draw * batch_size, (draw + 1) * batch_size)
    return np.array([_order(seed, part, stream, int(p) // count, count)[p % count] for p in places])


def draw_batch(dataset: Dataset, seed: int, part: str, stream: str, draw: int, batch_size: int) -> Batch:
    """The draw-th training batch of a part, augmented: a pure function of its arguments."""
    count = len(dataset.indices(part, stream))
    positions = draw_positions(seed, part, stream, draw, batch_size, count)
    batch = dataset.load(part, stream, positions.tolist())
    return dataset.augment(batch, generator("augment", seed, part, stream, draw))


def epoch_steps(dataset: Dataset, part: str, batch_size: int) -> int:
    """Steps in one epoch of a part: of the largest stream, rounded up."""
    return max(-(-len(dataset.indices(part, stream)) // batch_size) for stream in dataset.streams)


def whole_batches(dataset: Dataset, part: str, stream: str, size: int) -> Iterator[Batch]:
    """A part in order, without augmentation."""
    count = len(dataset.indices(part, stream))
    for first in range(0, count, size):
        yield dataset.load(part, stream, range(first, min(first + size, count)))


def streams_of(dataset: Dataset) -> dict[str, tuple[Task, ...]]:
    """The tasks each input stream labels."""
    by_name = {t.name: t for t in dataset.tasks}
    return {stream: tuple(by_name[n] for n in names) for stream, names in dataset.streams.items()}
