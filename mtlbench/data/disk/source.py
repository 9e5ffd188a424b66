"""A scene set as it lies in a folder, whatever its layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mtlbench.data.disk.cache import Column
from mtlbench.tasks import Task


@dataclass(frozen=True)
class Source:
    """A data set's layout, image size (H, W), tasks, and columns by (split, INPUT or task).

    `parts` are its published 80/20 lists, as indices into "train".
    """

    layout: str
    size: tuple[int, int]
    tasks: tuple[Task, ...]
    columns: Mapping[tuple[str, str], Column]
    parts: tuple[np.ndarray, np.ndarray] | None = None
