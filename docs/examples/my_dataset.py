"""A data set of one's own: discs on noise, labelled with where they are and how large they are."""

import numpy as np
import torch

from mtlbench.data.base import ALL, Batch, DataOptions, Dataset
from mtlbench.tasks import Task, select_tasks


class DiscOptions(DataOptions):
    images: int = 200
    noise: float = 0.1


class Discs(Dataset):
    """Grey discs, brighter the nearer: segment them, and tell each pixel's distance."""

    name = "discs"
    Options = DiscOptions
    presets = {"quick": {"steps": 60, "batch_size": 8, "width": 0.125, "head": 8, "lr": 3e-3}}

    def __init__(self, options, root, tasks):
        super().__init__(options, root, tasks)
        offered = (Task("disc", "segmentation", 2, classes=("floor", "disc")), Task("distance", "depth", 1, unit="m"))
        self.tasks = select_tasks(offered, tasks)
        self.shape = (3, 32, 32)
        self.streams = {ALL: tuple(t.name for t in self.tasks)}  # one input carries every label
        self.weights = {t.name: 1.0 for t in self.tasks}
        self.fingerprint = f"discs-1-{options.images}-{options.noise}"  # names the content: part of a run's identity

    def size(self, split, stream):
        return self.options.images if split == "train" else self.options.images // 4

    def items(self, split, stream, indices):
        inputs, disc, distance = zip(*(self._item(split, int(i)) for i in indices), strict=True)
        targets = {"disc": torch.stack(disc), "distance": torch.stack(distance)}
        return Batch(torch.stack(inputs), {t.name: targets[t.name] for t in self.tasks})

    def _item(self, split, index):
        random = np.random.default_rng((split == "test", index))
        (y, x), radius, near = random.uniform(8, 24, 2), random.uniform(4, 10), random.uniform(1, 3)
        rows, columns = np.mgrid[:32, :32]
        disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        distance = np.where(disc, near, 4.0)
        image = 1 / distance + self.options.noise * random.standard_normal((3, 32, 32))  # (3, 32, 32)
        as_float = [torch.tensor(a, dtype=torch.float32) for a in (image, distance[None])]
        return as_float[0], torch.tensor(disc, dtype=torch.int64), as_float[1]  # (3, H, W), (H, W), (1, H, W)
