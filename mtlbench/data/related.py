"""Tasks on vectors whose relatedness is a number: the synthetic data of the MMoE paper, for two to eight tasks.

Ma et al. (KDD 2018, section 3.2) draw two orthogonal unit vectors u1, u2, a scale c and weights w1 = c u1,
w2 = c (p u1 + sqrt(1 - p^2) u2), inputs x ~ N(0, I), and labels y = w.x + sum_i sin(a_i w.x + b_i) + noise of variance .01.
p is the cosine of any two tasks' weights. Beyond two tasks every pair has it: the weights are c L u with L the Cholesky
factor of the matrix with p beside a diagonal of 1 (for two tasks the paper's), which needs p of -1 / (tasks - 1) or more.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlbench.data.base import ALL, Batch, DataOptions, Dataset
from mtlbench.data.disk.stored import combine
from mtlbench.errors import ConfigError
from mtlbench.seeding import derive
from mtlbench.tasks import Task, select_tasks

GENERATOR = 1  # of the construction: a new number is a new fingerprint
SINES = 4  # the paper leaves their number, a and b open: a is 1 to SINES, b uniform
NOISE = 0.1  # the deviation of the labels' noise: the paper's variance is .01
Count = Annotated[int, Field(ge=2, le=1_000_000)]


class RelatedOptions(DataOptions):
    """`relatedness` is the cosine of any two tasks' weights: 1 is the same task but for noise, 0 is none in common.

    `count` tasks, each "regression", or "classification" (whether the label lies above its median), or "mixed" in turns.
    `items` and `test_items` vectors of `inputs` numbers; `scale` is the weights' length, and so how fast the sines turn.
    """

    count: int = Field(default=2, ge=2, le=8, description="How many tasks.")
    relatedness: float = Field(
        default=0.5, ge=-1, le=1, description="The cosine of any two tasks' weights: 1 is one task labelled twice."
    )
    labels: Literal["regression", "classification", "mixed"] = Field(
        default="regression",
        description="What the tasks ask for: the value, whether it lies above its median, or both in turns.",
    )
    items: Count = Field(default=2000, description="Training vectors.")
    test_items: Count = Field(default=1000, description="Test vectors.")
    inputs: int = Field(default=32, ge=8, le=4096, description="Numbers in a vector.")
    scale: float = Field(
        default=1.0, gt=0, le=100, description="The length of a task's weights, and so how fast the sines turn."
    )
    seed: int = Field(default=0, ge=0, lt=1 << 63, description="What weights and vectors are drawn from.")


class Related(Dataset):
    """Drawn in no time from a seed: two to eight tasks on vectors, as related as a number says (MMoE's synthetic data).

    Vectors (N, 1), one label a task and vector; no item has a neighbour.
    """

    name: ClassVar[str] = "related"
    Options: ClassVar[type[DataOptions]] = RelatedOptions
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {  # what 300 steps can learn (of 32 inputs a network is left at the constant), and at results/tuning's best
            "backbone": "resmlp", "width": 0.25, "steps": 300, "batch_size": 64,
            "lr": 1e-2, "weight_decay": 5.6e-4, "dropout": 0.06, "data": {"inputs": 8, "items": 1000},
        },
        "standard": {"backbone": "resmlp", "width": 0.5, "steps": 2000, "batch_size": 64, "lr": 2e-3},
        "paper": {"backbone": "resmlp", "width": 1.0, "steps": 10000, "batch_size": 64, "lr": 1e-3},
    }  # fmt: skip

    def __init__(self, options: RelatedOptions, root: Path | None = None, tasks: Sequence[str] | None = None) -> None:
        super().__init__(options, root, tasks)
        least = -1 / (options.count - 1)
        if options.relatedness < least:
            raise ConfigError(
                f"relatedness is {options.relatedness} (allowed: {least:.3g} to 1 for {options.count} tasks)"
            )
        known = [_task(i, options.labels) for i in range(options.count)]
        self.tasks = select_tasks(known, tasks)
        self._places = [known.index(task) for task in self.tasks]
        self.shape = (options.inputs, 1)
        self.streams = {ALL: tuple(t.name for t in self.tasks)}
        self.weights = {t.name: 1.0 for t in self.tasks}
        self.layout = "drawn"
        self._x, self._y = draw(options)
        self.fingerprint = combine({"options": options.model_dump_json(), "generator": str(GENERATOR)})

    def size(self, split: str, stream: str) -> int:
        return len(self._x[split])

    def items(self, split: str, stream: str, indices: Sequence[int]) -> Batch:
        rows = np.asarray(indices, np.int64)
        x = torch.from_numpy(self._x[split][rows]).float().unsqueeze(2)  # (B, N, 1)
        median = np.median(self._y["train"], axis=0)
        targets: dict[str, Tensor] = {}
        for place, task in zip(self._places, self.tasks, strict=True):
            y = torch.from_numpy(self._y[split][rows, place])
            above = (y > float(median[place])).long()
            targets[task.name] = above if task.meaning.integers else y.float().unsqueeze(1)
        return Batch(x, targets)

    def strata(self, stream: str) -> np.ndarray:
        return np.zeros(self.size("train", stream), np.int64)


def _task(index: int, labels: str) -> Task:
    name = f"task{index + 1}"
    if labels == "classification" or (labels == "mixed" and index % 2):
        return Task(name, "classification", 2, classes=("below", "above"))
    return Task(name, "regression", 1)


def draw(options: RelatedOptions) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Each split's inputs (M, N) and labels (M, tasks), float64."""
    random = np.random.default_rng(derive("related", options.seed, "weights"))
    directions = np.linalg.qr(random.standard_normal((options.inputs, options.count)))[0].T  # (tasks, N), orthonormal
    weights = options.scale * cholesky(options.count, options.relatedness) @ directions
    phase = random.uniform(0, 2 * math.pi, SINES)
    x, y = {}, {}
    for split, count in (("train", options.items), ("test", options.test_items)):
        random = np.random.default_rng(derive("related", options.seed, split))
        x[split] = random.standard_normal((count, options.inputs))
        linear = x[split] @ weights.T
        sines = np.sum([np.sin((i + 1) * linear + phase[i]) for i in range(SINES)], axis=0)
        y[split] = linear + sines + NOISE * random.standard_normal(linear.shape)
    return x, y


def cholesky(count: int, p: float) -> np.ndarray:
    """The lower factor L of the matrix with 1 on and p off the diagonal, also where it is singular (p 1, or the least)."""
    factor = np.zeros((count, count))
    for i in range(count):
        for j in range(i + 1):
            rest = float((1.0 if i == j else p) - factor[i, :j] @ factor[j, :j])
            pivot = float(factor[j, j])
            factor[i, j] = math.sqrt(max(rest, 0.0)) if i == j else rest / pivot if pivot > 1e-7 else 0.0
    return factor
