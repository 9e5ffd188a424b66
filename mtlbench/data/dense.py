"""What the scene sets on disk have in common: a layout found in the folder, columns in the cache, one stream of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.data.base import ALL, Batch, Dataset
from mtlbench.data.cache import Column, Stored, load
from mtlbench.data.files import Array, bad
from mtlbench.seeding import derive
from mtlbench.tasks import VOID, Task, select_tasks

MEAN = (0.485, 0.456, 0.406)  # ImageNet's, the input statistics of all image sets
STD = (0.229, 0.224, 0.225)
STORED_VOID = 255
MASKED = (255, 255, 255)
INPUT = "image"
_INT16 = 32767.0


@dataclass(frozen=True)
class Source:
    """A data set as it lies in a folder: its layout, image size, tasks, and columns by (split, "image" or task).

    `parts` are its published 80/20 lists, as indices into "train".
    """

    layout: str
    size: tuple[int, int]
    tasks: tuple[Task, ...]
    columns: Mapping[tuple[str, str], Column]
    parts: tuple[np.ndarray, np.ndarray] | None = None


class DenseDataset(Dataset):
    """Images that carry all labels; a subclass finds the source and hands it to `adopt`."""

    source: Source

    def adopt(self, source: Source, root: Path, tasks: Sequence[str] | None, weights: Mapping[str, float]) -> None:
        """Take the source's selected tasks, every column of them through the cache."""
        self.source = source
        self.layout = source.layout
        self.tasks = select_tasks(source.tasks, tasks)
        self.streams = {ALL: tuple(t.name for t in self.tasks)}
        self.weights = {t.name: weights[t.name] for t in self.tasks}
        self.shape = (3, *source.size)
        wanted = (INPUT, *self.streams[ALL])
        self._stored: dict[tuple[str, str], Stored] = {
            (split, field): load(source.columns[split, field], root, self.name)
            for split in ("train", "test")
            for field in wanted
        }
        self.fingerprint = combine({f"{s}/{f}": stored.fingerprint for (s, f), stored in self._stored.items()})

    def size(self, split: str, stream: str) -> int:
        return self._stored[split, INPUT].column.count

    def items(self, split: str, stream: str, indices: Sequence[int]) -> Batch:
        return Batch(
            self._stored[split, INPUT].read(indices),
            {task: self._stored[split, task].read(indices) for task in self.streams[ALL]},
        )

    def published_parts(self, stream: str) -> tuple[np.ndarray, np.ndarray] | None:
        return self.source.parts


def combine(fingerprints: Mapping[str, str]) -> str:
    """One fingerprint of named ones, whatever their order."""
    return f"{derive(*(f'{name}={fingerprints[name]}' for name in sorted(fingerprints))):016x}"


# Stored rows (B, H, W[, 3]) -> tensors.


def unpack_images(rows: Array) -> Tensor:
    """uint8 (B, H, W, 3) -> float32 (B, 3, H, W), by ImageNet's mean and deviation."""
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) * 255 for v in (MEAN, STD))
    return torch.from_numpy(rows).permute(0, 3, 1, 2).contiguous().float().sub_(mean).div_(std)


def unpack_classes(rows: Array) -> Tensor:
    """uint8 (B, H, W), 255 unlabelled -> int64 (B, H, W), -1 unlabelled."""
    labels = torch.from_numpy(rows).long()
    return labels.masked_fill_(labels == STORED_VOID, VOID)


def unpack_reals(rows: Array) -> Tensor:
    """float32 (B, H, W), NaN missing -> (B, 1, H, W)."""
    return torch.from_numpy(rows).float().unsqueeze(1)


def unpack_png_normals(rows: Array) -> Tensor:
    """AdaShare's uint8 (B, H, W, 3), (R, G, B) = ((x, z, y) + 1) / 2 * 255 -> unit (B, 3, H, W) as x, y, z; white is NaN."""
    coded = torch.from_numpy(rows).permute(0, 3, 1, 2)[:, [0, 2, 1]]
    masked = (coded == MASKED[0]).all(1, keepdim=True)
    return F.normalize(coded.float().div_(127.5).sub_(1.0), dim=1).masked_fill_(masked, torch.nan)


def unpack_unit_normals(rows: Array) -> Tensor:
    """int16 (B, H, W, 3), x, y, z times 32767, all 0 missing -> unit (B, 3, H, W)."""
    coded = torch.from_numpy(rows).permute(0, 3, 1, 2).float()
    masked = (coded == 0).all(1, keepdim=True)
    return F.normalize(coded, dim=1).masked_fill_(masked, torch.nan)


# A file's values, checked -> rows as stored.


def pack_classes(path: Path, labels: Array, classes: int, void: Sequence[int]) -> Array:
    """Labels 0..classes-1, or one of the `void` values -> uint8 (H, W), 255 unlabelled."""
    unlabelled = np.isin(labels, void)
    wrong = labels[~unlabelled & ((labels < 0) | (labels >= classes) | (labels != np.floor(labels)))]
    if wrong.size:
        given = f"label {wrong.flat[0]}"
        bad(path, given, f"classes 0 to {classes - 1}, or {' or '.join(map(str, void))} where unlabelled")
    return np.where(unlabelled, STORED_VOID, labels).astype(np.uint8)


def pack_depth(path: Path, depth: Array, limit: float, unit: str = "metres") -> Array:
    """Depth, 0 missing -> float32 (H, W), NaN missing. Negative, infinite or beyond `limit` is an error."""
    depth = depth.astype(np.float32)
    wrong = depth[~np.isnan(depth) & ~((depth >= 0) & (depth <= limit))]
    if wrong.size:
        bad(path, f"depth {wrong.flat[0]:g}", f"0 to {limit:g} {unit}, 0 where missing")
    return np.where(depth == 0, np.float32(np.nan), depth)


def pack_normals(path: Path, normals: Array) -> Array:
    """Unit vectors (H, W, 3), 0 or NaN missing -> int16."""
    normals = normals.astype(np.float32)
    length = np.linalg.norm(normals, axis=-1)
    missing = ~np.isfinite(length) | (length < 1e-6)
    wrong = length[~missing & (np.abs(length - 1) > 0.1)]
    if wrong.size:
        bad(path, f"a normal of length {wrong.flat[0]:.3g}", "unit vectors, (0, 0, 0) where missing")
    scaled = normals / np.where(missing, 1, length)[..., None] * _INT16
    return np.where(missing[..., None], 0, np.rint(scaled)).astype(np.int16)
