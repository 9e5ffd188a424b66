"""Classification: a class for each input."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from mtlbench.tasks.kinds.base import Classes
from mtlbench.tasks.metric import Metric
from mtlbench.tasks.reductions import Array, Mean
from mtlbench.tasks.task import Task


class Classification(Classes):
    """A class for each input: cross-entropy; accuracy."""

    name = "classification"
    view: ClassVar[str] = "class"
    metrics = (Metric("accuracy", "%", True, Mean("intersection", scale=100.0), primary=True),)

    def answer(self, task: Task, prediction: Tensor) -> Array:
        """The classes' probabilities, (B, C)."""
        found: Array = prediction.softmax(1).numpy()
        return found

    def say(self, task: Task, prediction: Tensor) -> str:
        """The class, and how sure the network is."""
        share, index = prediction.softmax(1).max(1)
        name = task.classes[int(index)] if task.classes else f"class {int(index)}"
        return f"{task.name}: {name} ({100 * float(share):.0f} %)"
