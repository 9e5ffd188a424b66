"""A kind of task of one's own, with a loss and a metric of its own, and a data set that uses it: how large is the disc?"""

import numpy as np
import torch
from torch.nn.functional import huber_loss

from mtlbench.data.base import ALL, Batch, Dataset
from mtlbench.tasks import Metric, Task, select_tasks
from mtlbench.tasks.kinds import Values, per_image
from mtlbench.tasks.reductions import Mean


class Amount(Values):
    """A number for each input: Huber's loss; the mean absolute error, and the share of answers within 10 per cent."""

    name = "amount"
    view = "value"  # the report draws it as a number
    metrics = (
        Metric("error", "{unit}", higher=False, reduction=Mean("abs"), primary=True),
        Metric("within_10", "%", higher=True, reduction=Mean("close", scale=100.0)),
    )

    def distance(self, prediction, target):
        return huber_loss(prediction, target, reduction="none").mean(1)  # (B, channels) -> (B,)

    def statistics(self, task, prediction, target, mask):
        close = ((prediction - target).abs() <= 0.1 * target.abs()).all(1) & mask
        return {**super().statistics(task, prediction, target, mask), "close": per_image(close)}


TASKS = (Task("radius", Amount, 1, unit="px"), Task("disc", "segmentation", 2, classes=("wall", "disc")))


class Sizes(Dataset):
    """Discs on a wall of noise."""

    name = "sizes"
    presets = {"quick": {"steps": 60, "batch_size": 8, "width": 0.125, "head": 8, "lr": 3e-3}}
    normalisation = ((0.0,) * 3, (1.0,) * 3)

    def __init__(self, options, root, tasks):
        super().__init__(options, root, tasks)
        self.tasks, self.shape = select_tasks(TASKS, tasks), (3, 32, 32)
        self.streams = {ALL: tuple(t.name for t in self.tasks)}
        self.weights = {t.name: 1.0 for t in self.tasks}
        self.fingerprint = "sizes-1"

    def size(self, split, stream):
        return 24 if split == "train" else 12

    def items(self, split, stream, indices):
        drawn = [self._draw(np.random.default_rng((split == "test", int(i)))) for i in indices]
        inputs, radius, disc = (torch.from_numpy(np.stack(part)) for part in zip(*drawn, strict=True))
        targets = {"radius": radius, "disc": disc}  # float32 (B, 1) and int64 (B, H, W)
        return Batch(inputs, {t.name: targets[t.name] for t in self.tasks})

    def _draw(self, random):
        radius, rows, columns = random.uniform(3, 12), *np.mgrid[:32, :32]
        disc = (rows - 16) ** 2 + (columns - 16) ** 2 < radius**2
        image = disc + 0.1 * random.standard_normal((3, 32, 32))
        return image.astype(np.float32), np.float32([radius]), disc.astype(np.int64)
