"""What the battery runs methods on: a backbone of a few thousand parameters, and images, texts and vectors of noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mtlbench.backbones import Architecture, Backbone, Block
from mtlbench.backbones.base import Norm
from mtlbench.backbones.resnet import resnet18
from mtlbench.backbones.vdcnn import TOKENS
from mtlbench.data.base import ALL, Batch, DataOptions, Dataset
from mtlbench.seeding import generator
from mtlbench.tasks import Task

WIDTH, HEAD = 0.0625, 8
IMAGE, TEXT, VECTOR = (3, 32, 32), (64,), (8, 1)
DENSE = (
    Task("segmentation", "segmentation", 4),
    Task("normals", "normals", 3),
    Task("depth", "depth", 1, unit="m"),
    Task("edges", "edges", 1),
    Task("keypoints", "keypoints", 1),
)
LABELS = tuple(Task(name, "classification", 3) for name in ("art", "photo", "sketch"))
NUMBERS = (LABELS[0], Task("size", "regression", 1))


def tiny(architecture: Architecture, norm: Norm) -> Backbone:
    """A ResNet-18 with one block less in all stages but the first: 5 blocks."""
    full = resnet18(architecture, norm)
    first, *others = (list(stage.children()) for stage in full.stages)
    stages: list[list[Block]] = [first, *(stage[:1] for stage in others)]  # type: ignore[list-item]
    return Backbone(full.stem, stages, full.channels, full.stride)


class Tiny(Dataset):
    """Items of noise whose labels follow from them; some labels are missing.

    With `streams` every task has inputs of its own. With `one_batch` every part is the same two items.
    """

    name = "tiny"

    def __init__(
        self,
        tasks: Sequence[Task] = DENSE[:3],
        shape: tuple[int, ...] = IMAGE,
        streams: bool = False,
        dtype: torch.dtype = torch.float32,
        one_batch: bool = False,
    ) -> None:
        super().__init__(DataOptions(), None, None)
        self.tasks, self.shape, self.dtype, self.one_batch = tuple(tasks), shape, dtype, one_batch
        names = tuple(t.name for t in tasks)
        self.streams = {n: (n,) for n in names} if streams else {ALL: names}
        self.weights = dict.fromkeys(names, 1.0)
        self.fingerprint = "tiny"

    def size(self, split: str, stream: str) -> int:
        return 24 if split == "train" else 4

    def indices(self, part: str, stream: str) -> np.ndarray:
        return np.arange(2) if self.one_batch else super().indices(part, stream)

    def items(self, split: str, stream: str, indices: Sequence[int]) -> Batch:
        x = torch.stack([noise(self.shape, split, stream, int(i)) for i in indices])
        inputs = x if x.dtype == torch.long else x.to(self.dtype)
        wanted = self.streams[stream]
        return Batch(inputs, {t.name: label(t, x) for t in self.tasks if t.name in wanted})


@cache
def noise(shape: tuple[int, ...], *key: str | int) -> Tensor:
    """Smooth noise (3, H, W), characters (L,), or numbers (N, 1): a function of the key."""
    random = generator("tiny", *key)
    if len(shape) == 1:
        return torch.randint(TOKENS, shape, generator=random)
    if len(shape) == 2:
        return torch.randn(shape, generator=random)
    coarse = torch.randn(3, 4, 4, generator=random)
    return interpolate(coarse[None], size=shape[1:], mode="bilinear")[0]


def label(task: Task, x: Tensor) -> Tensor:
    """A target for inputs (B, 3, H, W), (B, L) or (B, N, 1)."""
    return task.meaning.example(task, x)
