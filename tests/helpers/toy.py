"""Tiny data sets made from noise: one input with all labels, and one input stream a task. Given as tests/toy.py:Toy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from mtlbench.data.base import ALL, Batch, DataOptions, Dataset
from mtlbench.seeding import generator
from mtlbench.tasks import VOID, Task, select_tasks


class ToyOptions(DataOptions):
    images: int = 40
    size: int = 32
    poison: int = -1  # the image whose depth is infinite


class Toy(Dataset):
    """Images whose labels follow from their colours, with some labels missing."""

    name = "toy"
    Options = ToyOptions
    available = (
        Task("segmentation", "segmentation", 4),
        Task("normals", "normals", 3),
        Task("depth", "depth", 1, unit="m"),
    )

    def __init__(self, options: ToyOptions, root: Path | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(options, root, tasks)
        self.tasks = select_tasks(self.available, tasks)
        self.shape = (3, options.size, options.size)
        self.streams = {ALL: tuple(t.name for t in self.tasks)}
        self.weights = {t.name: 1.0 for t in self.tasks}
        self.fingerprint = f"toy-{options.images}-{options.size}-{options.poison}"

    def size(self, split: str, stream: str) -> int:
        return self.options.images if split == "train" else 10

    def items(self, split: str, stream: str, indices: Sequence[int]) -> Batch:
        one = [self._image(split, int(i)) for i in indices]
        x = torch.stack(one)
        level = x.mean(1)
        labels = ((level * 2).floor().long() % 4).masked_fill(level > 0.8, VOID)
        depth = 1.5 + level.unsqueeze(1).abs().masked_fill((level < -0.9).unsqueeze(1), math.nan)
        for row, index in enumerate(indices):
            if split == "train" and index == self.options.poison:
                depth[row] = 1e30 * x[row].mean(0, keepdim=True).sign()
                x[row] = math.inf
        targets = {"segmentation": labels, "normals": torch.nn.functional.normalize(x + 0.1, dim=1), "depth": depth}
        return Batch(x, {t.name: targets[t.name] for t in self.tasks})

    def _image(self, split: str, index: int) -> torch.Tensor:
        noise = torch.randn(3, 4, 4, generator=generator("toy", split, index))
        return torch.nn.functional.interpolate(noise[None], size=self.shape[1:], mode="bilinear")[0]

    def augment(self, batch: Batch, random: torch.Generator) -> Batch:
        shift = torch.randn(len(batch.inputs), 1, 1, 1, generator=random) * 0.01
        return Batch(batch.inputs + shift, batch.targets)


class ToyDomains(Dataset):
    """Three domains of different sizes, each with inputs and a 3-way classification of its own."""

    name = "toy-domains"
    available = tuple(Task(n, "classification", 3) for n in ("art", "photo", "sketch"))

    def __init__(self, options: DataOptions, root: Path | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(options, root, tasks)
        self.tasks = select_tasks(self.available, tasks)
        self.shape = (3, 32, 32)
        self.streams = {t.name: (t.name,) for t in self.tasks}
        self.weights = {t.name: 1.0 for t in self.tasks}
        self.fingerprint = "toy-domains"

    def size(self, split: str, stream: str) -> int:
        return {"art": 30, "photo": 40, "sketch": 20}[stream] if split == "train" else 10

    def items(self, split: str, stream: str, indices: Sequence[int]) -> Batch:
        labels = torch.tensor([int(i) % 3 for i in indices])
        noise = [torch.randn(3, 32, 32, generator=generator("toy", stream, split, int(i))) for i in indices]
        offsets = torch.nn.functional.one_hot(labels, 3).float()[:, :, None, None]
        return Batch(torch.stack(noise) * 0.5 + offsets, {stream: labels})
