"""A data set of one's own: discs before a wall; segment the disc, and tell how far each pixel is."""

import numpy as np
import torch

from mtlbench.data.base import ALL, Batch, DataOptions, Dataset
from mtlbench.tasks import Task, select_tasks

TASKS = (Task("disc", "segmentation", 2, classes=("wall", "disc")), Task("distance", "depth", 1, unit="m"))


class DiscOptions(DataOptions):
    images: int = 200
    noise: float = 0.1


class Discs(Dataset):
    """Discs before a wall, the nearer the brighter."""

    name = "discs"
    Options = DiscOptions
    presets = {"quick": {"steps": 60, "batch_size": 8, "width": 0.125, "head": 8, "lr": 3e-3}}
    normalisation = ((0.0,) * 3, (1.0,) * 3)  # inputs are pixels in [0, 1]; `mtlbench predict` asks

    def __init__(self, options, root, tasks):
        super().__init__(options, root, tasks)
        self.tasks, self.shape = select_tasks(TASKS, tasks), (3, 32, 32)
        self.streams = {ALL: tuple(t.name for t in self.tasks)}  # one input carries every label
        self.weights = {t.name: 1.0 for t in self.tasks}
        self.fingerprint = f"discs-1-{options.images}-{options.noise}"  # the content's name, part of a run's identity

    def size(self, split, stream):
        return self.options.images if split == "train" else self.options.images // 4

    def items(self, split, stream, indices):
        drawn = [self._draw(np.random.default_rng((split == "test", int(i)))) for i in indices]
        inputs, disc, distance = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        targets = {"disc": disc, "distance": distance}  # int64 (B, H, W) and float32 (B, 1, H, W)
        return Batch(inputs, {t.name: targets[t.name] for t in self.tasks})

    def _draw(self, random):
        (y, x), radius, near = random.uniform(8, 24, 2), random.uniform(4, 10), random.uniform(1, 3)
        rows, columns = np.mgrid[:32, :32]
        disc = (rows - y) ** 2 + (columns - x) ** 2 < radius**2
        distance = np.where(disc, near, 4.0)[None]  # (1, H, W)
        image = 1 / distance + self.options.noise * random.standard_normal((3, 32, 32))
        return image.astype(np.float32), disc.astype(np.int64), distance.astype(np.float32)
