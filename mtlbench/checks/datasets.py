"""Checks of a data set: what it declares, how it is split, what its items and its batches look like."""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mtlbench.checks.asking import Check
from mtlbench.checks.outputs import equal, generators
from mtlbench.config import RunConfig
from mtlbench.data.base import Batch, Dataset, draw_batch, streams_of
from mtlbench.tasks import Task

PARTS = ("train", "train-a", "train-b", "val", "test")
COUNT = 4
"""Items looked at in each part of each stream."""


def file(dataset: Dataset) -> Path | None:
    """Where the class is written."""
    try:
        return Path(inspect.getfile(type(dataset))).resolve()
    except TypeError:
        return None


def declares(dataset: Dataset) -> Iterator[str]:
    """Tasks, streams, weights, shape, fingerprint and presets fit each other."""
    names = [t.name for t in dataset.tasks]
    if not names or len(set(names)) < len(names):
        yield f"tasks are {', '.join(names) or 'none'} (one or more, each once, are expected)"
    served = [t for tasks in dataset.streams.values() for t in tasks]
    if sorted(served) != sorted(names):
        yield f"streams serve {', '.join(served) or 'no task'} (each of {', '.join(names)} once is expected)"
    for name in names:
        weight = dataset.weights.get(name)
        if weight is None or not (math.isfinite(weight) and weight > 0):
            yield f"the weight of '{name}' is {weight} (a number above 0 is expected)"
    vector = len(dataset.shape) == 2 and dataset.shape[1:] == (1,)
    if not (vector or len(dataset.shape) in (1, 3)) or any(not isinstance(n, int) or n < 1 for n in dataset.shape):
        yield f"shape is {dataset.shape} ((3, H, W) for images, (L,) for texts or (N, 1) for vectors is expected)"
    if not isinstance(dataset.fingerprint, str) or not dataset.fingerprint:
        yield f"fingerprint is {dataset.fingerprint!r} (a text that names the content is expected)"
    for task in dataset.tasks:
        if task.meaning.channels not in (None, task.channels):
            yield f"'{task.name}' has {task.channels} channels ({task.meaning.channels} is expected of its kind)"
    for preset, settings in dataset.presets.items():
        for key in settings.keys() - RunConfig.model_fields.keys():
            yield f"preset '{preset}' sets '{key}', which is no setting of a run"
    for reference in dataset.references:
        for task in dataset.tasks:
            known, row = {m.name for m in task.metrics}, f"reference '{reference.label}'"
            for metric in reference.metrics.get(task.name, {}).keys() - known:
                yield f"{row} has '{metric}' for '{task.name}' (its metrics: {', '.join(sorted(known))})"


def splits(dataset: Dataset) -> Iterator[str]:
    """Validation, the training part and its two shares are disjoint, complete and the same every time."""
    again = _again(dataset)
    for stream in dataset.streams:
        strata, items = dataset.strata(stream), dataset.size("train", stream)
        if strata is not None and np.shape(strata) != (items,):
            yield f"strata of stream '{stream}' have shape {np.shape(strata)} (({items},), one a training item, is expected)"
            continue
        parts = {part: dataset.indices(part, stream) for part in PARTS}
        for part, found in parts.items():
            count = dataset.size("test" if part == "test" else "train", stream)
            if not len(found):
                yield f"'{part}' of stream '{stream}' is empty"
            elif len(np.unique(found)) < len(found) or found.min() < 0 or found.max() >= count:
                yield f"'{part}' of stream '{stream}' holds an item twice, or one beyond its {count} items"
            if not np.array_equal(found, again.indices(part, stream)):
                yield f"'{part}' of stream '{stream}' holds other items in a second copy of the data set"
        for one, other in (("val", "train"), ("val", "train-a"), ("val", "train-b"), ("train-a", "train-b")):
            common = np.intersect1d(parts[one], parts[other])
            if len(common):
                yield f"'{one}' and '{other}' of stream '{stream}' share {len(common)} items (item {common[0]}, for one)"
        for part in ("train-a", "train-b"):
            beyond = np.setdiff1d(parts[part], parts["train"])
            if len(beyond):
                yield f"'{part}' of stream '{stream}' holds {len(beyond)} items that 'train' does not"


def items(dataset: Dataset) -> Iterator[str]:
    """Items have the documented shapes and dtypes, and are the same alone, together and again."""
    for stream, tasks in streams_of(dataset).items():
        for part in ("train", "val", "test"):
            batch, position = _some(dataset, part, stream), f"in '{part}' of stream '{stream}'"
            yield from (f"{fault} {position}" for fault in _shapes(dataset, tasks, batch))
            if not _same(batch, _some(dataset, part, stream)):
                yield f"the same items differ when they are loaded again {position}"
            one = dataset.load(part, stream, [0])
            if not _same(one, batch.map(lambda x: x[:1])):
                yield f"the first item differs when it is loaded alone {position}"


def labels(dataset: Dataset) -> Iterator[str]:
    """Labels lie in their range; a missing one is VOID where labels are integers and NaN where they are numbers."""
    for stream, tasks in streams_of(dataset).items():
        for part in ("train", "val", "test"):
            batch = _some(dataset, part, stream)
            for task in tasks:
                position = f"in '{part}' of stream '{stream}'"
                faults = task.meaning.faults(task, batch.targets[task.name])
                yield from (f"'{task.name}' {fault} {position}" for fault in faults)


def draws(dataset: Dataset) -> Iterator[str]:
    """A training batch is a pure function of (seed, part, stream, draw), in the shape of a training input."""
    for stream, tasks in streams_of(dataset).items():
        whole, drawn = _some(dataset, "train", stream), generators()
        for part in ("train", "train-a", "train-b"):
            position = f"in a training batch of '{part}', stream '{stream}'"
            batch = draw_batch(dataset, 0, part, stream, 3, COUNT).map(torch.clone)
            if not equal(drawn, generators()):
                yield f"a global random generator is drawn from {position}"
            torch.rand(1), np.random.rand(1)
            if not _same(batch, draw_batch(dataset, 0, part, stream, 3, COUNT)):
                yield f"the same draw gives another batch {position}"
            drawn = generators()
            yield from (f"{fault} {position}" for fault in _shapes(dataset, tasks, batch, trained=True))
            for task in tasks:
                faults = task.meaning.faults(task, batch.targets[task.name])
                yield from (f"'{task.name}' {fault} {position}" for fault in faults)
        if not _same(whole, _some(dataset, "train", stream)):
            yield f"drawing a batch changed the stored items of stream '{stream}'"


def fingerprint(dataset: Dataset) -> Iterator[str]:
    """A second copy has the same fingerprint and the same items."""
    other = _again(dataset)
    if other.fingerprint != dataset.fingerprint:
        yield f"the fingerprint is {dataset.fingerprint!r}, and {other.fingerprint!r} in a second copy"
    for stream in dataset.streams:
        if not _same(_some(dataset, "train", stream), _some(other, "train", stream)):
            yield f"stream '{stream}' holds other items in a second copy"


CHECKS: Mapping[str, Check[Dataset]] = {
    "declares": declares,
    "splits": splits,
    "items": items,
    "labels": labels,
    "draws": draws,
    "fingerprint": fingerprint,
}


def _again(dataset: Dataset) -> Dataset:
    return type(dataset)(dataset.options, dataset.root, [t.name for t in dataset.tasks])


def _some(dataset: Dataset, part: str, stream: str) -> Batch:
    """A few items spread over a part."""
    count = len(dataset.indices(part, stream))
    positions = np.unique(np.linspace(0, count - 1, min(COUNT, count)).astype(int))
    return dataset.load(part, stream, positions.tolist()).map(torch.clone)


def _same(a: Batch, b: Batch) -> bool:
    """Equal bits, NaN included."""
    pairs = [(a.inputs, b.inputs), *((a.targets[t], b.targets[t]) for t in a.targets)]
    return a.targets.keys() == b.targets.keys() and all(
        x.shape == y.shape and x.dtype == y.dtype and torch.equal(x.nan_to_num(nan=-7.0), y.nan_to_num(nan=-7.0))
        for x, y in pairs
    )


def _shapes(dataset: Dataset, tasks: Sequence[Task], batch: Batch, trained: bool = False) -> Iterator[str]:
    """What about shapes and dtypes differs from the contract; a training input has the declared shape."""
    x, text = batch.inputs, len(dataset.shape) == 1
    dtype = torch.long if text else torch.float32
    if x.dtype != dtype:
        yield f"inputs are {x.dtype} ({dtype} is expected)"
    if x.dim() != len(dataset.shape) + 1 or (trained and tuple(x.shape[1:]) != tuple(dataset.shape)):
        yield f"inputs have shape {tuple(x.shape)} ((B, {', '.join(map(str, dataset.shape))}) is expected)"
    if x.is_floating_point() and not bool(torch.isfinite(x).all()):
        yield "inputs are not finite"
    if set(batch.targets) != {t.name for t in tasks}:
        yield f"targets are {', '.join(batch.targets)} ({', '.join(t.name for t in tasks)} are expected)"
    for task in tasks:
        if task.name in batch.targets:
            yield from _target(task, batch.targets[task.name], x, trained)


def _target(task: Task, target: Tensor, x: Tensor, trained: bool) -> Iterator[str]:
    integers = task.meaning.integers
    if target.dtype != (torch.long if integers else torch.float32):
        yield f"'{task.name}' is {target.dtype} ({'torch.int64' if integers else 'torch.float32'} is expected)"
    size = tuple(x.shape[2:]) if trained and x.dim() == 4 else tuple(target.shape[-2:])
    wanted = (len(x), *(() if integers else (task.channels,)), *(size if task.dense else ()))
    if tuple(target.shape) != wanted:
        yield f"'{task.name}' has shape {tuple(target.shape)} ({wanted} is expected)"
