"""A few test items as a run's network answers them, kept beside the record so that the report can show them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mtlbench.data.base import Batch, Dataset, streams_of
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.tasks import Task
from mtlbench.tasks.losses import to_label

FILE = "gallery.npz"
ITEMS = 3  # of each stream
SIDE = 192  # pixels that a picture keeps at most

Array = NDArray[Any]


@torch.inference_mode()
def collect(network: DeployedNetwork, dataset: Dataset, device: str = "cpu") -> dict[str, Array]:
    """Inputs, labels and predictions of a few test items, the same for every method of a study.

    `input/<stream>` are pictures (n, H, W, 3) uint8 or texts (n,); `stream/<task>` names a task's stream, `truth/<task>`
    and `prediction/<task>` are what the kind's view draws: classes (n, H, W), values (n, C, H, W), or for a
    classification the classes (n,) and the probabilities (n, K). `classes/<task>` are the classes' names, where there are
    any. A stream whose inputs cannot be shown is left out.
    """
    found: dict[str, Array] = {}
    for stream, tasks in streams_of(dataset).items():
        batch = dataset.load("test", stream, spread(len(dataset.indices("test", stream))))
        pictures = dataset.shown(batch.inputs)
        if pictures is None:
            continue
        found[f"input/{stream}"] = pictures if pictures.ndim == 1 else thinned(pictures, (1, 2))
        with network.resting():
            predictions = network.answers({stream: batch.inputs.to(device)}, [t.name for t in tasks])
        for task in (t for t in tasks if t.meaning.view):
            found |= {f"stream/{task.name}": np.array(stream), **_answers(task, predictions[task.name].cpu(), batch)}
    return found


def spread(count: int, wanted: int = ITEMS) -> list[int]:
    """Positions of up to `wanted` items spread evenly over `count`, away from both ends."""
    wanted = min(count, wanted)
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]


def thinned(array: Array, axes: tuple[int, int]) -> Array:
    """Every n-th pixel along the two axes, so that none is longer than `SIDE`."""
    step = -(-max(array.shape[a] for a in axes) // SIDE)
    index = [slice(None)] * array.ndim
    for axis in axes:
        index[axis] = slice(None, None, step)
    return array[tuple(index)]


def _answers(task: Task, prediction: Tensor, batch: Batch) -> dict[str, Array]:
    target = batch.targets[task.name]
    answer, truth = task.meaning.answer(task, to_label(task, prediction.float(), target)), target.numpy()
    if task.dense:
        kept = np.float16 if answer.dtype.kind == "f" else np.int16
        answer, truth = (thinned(a.astype(kept), (-2, -1)) for a in (answer, truth))
    names = {f"classes/{task.name}": np.array(task.classes)} if task.classes else {}
    return {f"truth/{task.name}": truth, f"prediction/{task.name}": answer, **names}
