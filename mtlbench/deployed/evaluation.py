"""A whole split, once: metrics from sums over all images, skill against the constant predictor, and the score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtlbench.data.base import Dataset, streams_of, whole_batches
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.errors import Diverged
from mtlbench.tasks import Task, figures, skill
from mtlbench.tasks.losses import elementwise, to_label
from mtlbench.tasks.metrics import ConstantPredictor, statistics

Metrics = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Evaluation:
    """A split's metrics and mean losses; `images` keeps each image's statistics, (N, k) under "task/statistic"."""

    metrics: Metrics
    losses: dict[str, float]
    images: dict[str, NDArray[np.float64]]


class Meter:
    """Adds up one task's statistics over a split, and its loss where that means something."""

    def __init__(self, task: Task, losses: bool = True) -> None:
        self.task, self.losses = task, losses
        self._rows: list[dict[str, NDArray[np.float64]]] = []
        self._whole: dict[str, NDArray[np.float64]] = {}  # too large to keep for every image
        self._loss = self._count = 0.0

    def update(self, prediction: Tensor, target: Tensor) -> None:
        """Take in a batch's raw predictions and targets."""
        prediction = to_label(self.task, prediction.float(), target)
        if self.losses:
            loss, mask = elementwise(self.task, prediction, target)
            self._loss += float(loss.sum(dtype=torch.float64))
            self._count += float(mask.sum())
        rows = {k: v.cpu().numpy() for k, v in statistics(self.task, prediction, target).items()}
        for name in self.task.meaning.whole:
            self._whole[name] = rows.pop(name).sum(0) + self._whole.get(name, 0.0)
        self._rows.append(rows)

    @property
    def finite(self) -> bool:
        """Whether the loss over what is labelled is a number."""
        return math.isfinite(self._loss)

    def images(self) -> dict[str, NDArray[np.float64]]:
        """Each image's statistics, (N, k)."""
        return {k: np.concatenate([row[k] for row in self._rows]) for k in self._rows[0]}

    def result(self) -> tuple[dict[str, float], float]:
        """The metrics, and the mean loss over labelled elements."""
        sums = {k: v.sum(0) for k, v in self.images().items()} | self._whole
        return figures(self.task.metrics, sums), self._loss / self._count if self._count else math.nan


@torch.inference_mode()
def evaluate(
    network: DeployedNetwork,
    dataset: Dataset,
    part: str,
    batch_size: int = 16,
    device: str = "cpu",
    precision: str = "fp32",
) -> Evaluation:
    """Run a network in eval mode over a whole part ("val" or "test"); its mode is restored.

    Raises Diverged where an output, or a loss over labelled elements, is not finite.
    """
    meters = {t.name: Meter(t) for t in dataset.tasks}
    autocast = torch.autocast(device.split(":")[0], torch.bfloat16, enabled=precision == "bf16")
    with network.resting():
        for stream, tasks in streams_of(dataset).items():
            for batch in whole_batches(dataset, part, stream, batch_size):
                batch = batch.map(lambda x: x.to(device))
                with autocast:
                    predictions = network.answers({stream: batch.inputs}, [t.name for t in tasks])
                if bad := [t.name for t in tasks if not bool(predictions[t.name].isfinite().all())]:
                    raise Diverged("output", bad, f"on {part}")
                for task in tasks:
                    meters[task.name].update(predictions[task.name], batch.targets[task.name])
    if bad := [name for name, meter in meters.items() if not meter.finite]:
        raise Diverged("loss", bad, f"on {part}")
    return _collect(meters)


def _collect(meters: Mapping[str, Meter]) -> Evaluation:
    results = {name: meter.result() for name, meter in meters.items()}
    images = {f"{name}/{key}": rows for name, meter in meters.items() for key, rows in meter.images().items()}
    return Evaluation({n: m for n, (m, _) in results.items()}, {n: loss for n, (_, loss) in results.items()}, images)


@cache
def evaluate_constant(dataset: Dataset, parts: tuple[str, ...], batch_size: int = 16) -> dict[str, Evaluation]:
    """The constant predictor, fitted on train's labels, on each of the parts; once a process for each data set."""
    fits = {t.name: ConstantPredictor(t) for t in dataset.tasks}
    for stream, tasks in streams_of(dataset).items():
        for batch in whole_batches(dataset, "train", stream, batch_size):
            for task in tasks:
                fits[task.name].update(batch.targets[task.name])
    results = {}
    for part in parts:
        meters = {t.name: Meter(t, losses=False) for t in dataset.tasks}
        for stream, tasks in streams_of(dataset).items():
            for batch in whole_batches(dataset, part, stream, batch_size):
                for task in tasks:
                    target = batch.targets[task.name]
                    meters[task.name].update(fits[task.name].like(target), target)
        results[part] = _collect(meters)
    return results


def skills(tasks: Sequence[Task], metrics: Mapping[str, Mapping[str, float]], constant: Metrics) -> dict[str, float]:
    """Each task's skill on its primary metric; NaN where the split has no label of it."""
    return {t.name: skill(t.primary, metrics[t.name][t.primary.name], constant[t.name][t.primary.name]) for t in tasks}


def mean_skill(skill_of: Mapping[str, float]) -> float:
    """The mean skill over the tasks that have one."""
    known = [s for s in skill_of.values() if not math.isnan(s)]
    return sum(known) / len(known) if known else math.nan
