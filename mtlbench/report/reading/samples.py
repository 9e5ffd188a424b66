"""The test items a run kept to be shown, its samples (artefact `gallery`); what is strange in it is an error, not a picture."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtlbench.records import TaskInfo
from mtlbench.report.reading.archive import arrays
from mtlbench.report.reading.reported_run import ReportedRun, inside
from mtlbench.tasks.pictures import CHANNELS

ARTEFACT = "gallery"
LIMIT = 64 * 2**20  # bytes that are read of a run

Array = NDArray[Any]


@dataclass(frozen=True)
class Items:
    """One task's items: pictures (n, H, W, 3) or texts (n,), and their labels and a network's predictions.

    Dense tasks: classes (n, h, w) or values (n, C, h, w). Others, by their view: "class" classes (n,) and probabilities
    (n, K), "level" levels (n,), "labels" yes or no (n, K) and probabilities, "value" numbers (n, C).
    """

    inputs: Array
    truth: Array
    prediction: Array
    classes: tuple[str, ...] = ()
    view: str = "class"

    def name(self, index: int) -> str:
        """What a class is called: its number where it has no name."""
        return self.classes[index] if 0 <= index < len(self.classes) else str(index)


def file_of(run: ReportedRun) -> Path | None:
    """Where a run's samples lie; None where it kept none, or they are not there."""
    name = run.artefacts.get(ARTEFACT)
    return inside(run.folder, name) if name else None


def load(path: Path, tasks: Mapping[str, TaskInfo]) -> dict[str, Items]:
    """Each task's items; an exception of BROKEN where the file holds no samples of these tasks."""
    with arrays(path, LIMIT) as found:
        return {name: _items(found, task) for name, task in tasks.items() if f"stream/{name}" in found}


def digest(path: Path) -> str | None:
    """A hash of the samples' bytes; None where they cannot be read, or are too large."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.stat().st_size <= LIMIT else None
    except OSError:
        return None


def _items(found: Any, task: TaskInfo) -> Items:
    inputs = found[f"input/{found[f'stream/{task.name}'].item()}"]
    truth, prediction = found[f"truth/{task.name}"], found[f"prediction/{task.name}"]
    key = f"classes/{task.name}"
    names = tuple(str(c) for c in found[key].tolist()) if key in found else ()
    pictures = inputs.ndim == 4 and inputs.shape[-1] == 3 and inputs.dtype == np.uint8
    if not (pictures or (inputs.ndim == 1 and inputs.dtype.kind == "U")):
        raise ValueError("inputs are neither pictures nor texts")
    shape, count = truth.shape, len(inputs)
    if task.view == "class":
        fits = shape == (count,) and prediction.shape == (count, task.channels)
    elif task.view == "level":
        fits = shape == prediction.shape == (count,) and truth.dtype.kind == prediction.dtype.kind == "i"
    elif task.view in ("labels", "value"):
        fits = shape == prediction.shape == (count, task.channels) and truth.dtype.kind == prediction.dtype.kind == "f"
    elif task.view == "classes":
        fits = truth.ndim == 3 and prediction.shape == shape and len(truth) == count and truth.dtype.kind == "i"
        fits = fits and prediction.dtype.kind == "i" and max(truth.max(), prediction.max()) < task.channels
    else:
        fits = pictures and shape == prediction.shape and shape[:2] == (count, CHANNELS[task.view])
        fits = fits and truth.ndim == 4 and truth.dtype.kind == prediction.dtype.kind == "f"
    if not fits:
        raise ValueError(f"the items of '{task.name}' do not fit it")
    return Items(inputs, truth, prediction, names, task.view)
