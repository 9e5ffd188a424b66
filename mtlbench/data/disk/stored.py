"""What the data sets on disk have in common: every input and label is a column of the cache."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mtlbench.data.base import Batch, Dataset
from mtlbench.data.disk.cache import Column, Stored, load
from mtlbench.data.disk.files import Array
from mtlbench.seeding import derive

INPUT = "input"
MEAN = (0.485, 0.456, 0.406)  # ImageNet's, the input statistics of all image sets
STD = (0.229, 0.224, 0.225)
RULES = 2  # what counts as a label and which items are held out: a new number tells runs from those under the old rules


Key = tuple[str, str, str]
"""(split, stream, INPUT or task)."""


class StoredDataset(Dataset):
    """Columns by (split, stream, field): each stream's INPUT, and its tasks' labels; `keep` them in the constructor."""

    def keep(self, columns: Mapping[Key, Column]) -> None:
        """Open the columns through the cache, which decodes what it does not hold, and sets the fingerprint."""
        assert self.root is not None
        self._stored: dict[Key, Stored] = {key: load(column, self.root, self.name) for key, column in columns.items()}
        self.fingerprint = combine({"/".join(key): stored.fingerprint for key, stored in self._stored.items()})

    def size(self, split: str, stream: str) -> int:
        return self._stored[split, stream, INPUT].column.count

    def items(self, split: str, stream: str, indices: Sequence[int]) -> Batch:
        targets = {task: self._stored[split, stream, task].read(indices) for task in self.streams[stream]}
        return Batch(self._stored[split, stream, INPUT].read(indices), targets)

    def labels(self, stream: str) -> Array:
        """The class of each training item of a stream that has one classification: int64 (N,)."""
        (task,) = self.streams[stream]
        return self._stored["train", stream, task].read(range(self.size("train", stream))).numpy()


def combine(fingerprints: Mapping[str, str]) -> str:
    """One fingerprint of named ones, whatever their order, and of the rules by which they are read and split."""
    return f"{derive(RULES, *(f'{name}={fingerprints[name]}' for name in sorted(fingerprints))):016x}"


def unpack_images(rows: Array) -> Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), by ImageNet's mean and deviation."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (MEAN, STD))
    return torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous().float().sub_(mean).div_(std)


def label_column(name: str, sources: Sequence[Path], labels: Array) -> Column:
    """One class an item, known already: int64 (B,)."""
    values = labels.astype(np.int64)
    return Column(name, len(values), (), "i8", sources, lambda: values, torch.from_numpy, _digest(values))


def _digest(values: Array) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


def first_names(known: Iterable[str], named: Sequence[str] | None, first: int | None) -> Sequence[str] | None:
    """The tasks named, or else the first so many of those known (None: all)."""
    return named if named is not None or first is None else list(known)[:first]
