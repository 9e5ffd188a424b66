"""What a method must return, checked where it comes back: a user's mistake is named, not met later inside a loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from mtlbench.errors import PluginError
from mtlbench.tasks import Task


def check_outputs(outputs: Any, tasks: Sequence[Task], batch: int) -> None:
    """PluginError unless `outputs` holds a tensor (B, C, h, w), or (B, C) for classification, for each of `tasks`."""
    if not isinstance(outputs, dict):
        raise PluginError(f"forward returned {type(outputs).__name__} (a dict of task name -> tensor is expected)")
    for task in tasks:
        if task.name not in outputs:
            raise PluginError(
                f"forward returned nothing for '{task.name}' (it returned: {', '.join(outputs) or 'none'})"
            )
        found = outputs[task.name]
        wanted = f"({batch}, {task.channels}, h, w)" if task.dense else f"({batch}, {task.channels})"
        if not isinstance(found, Tensor):
            raise PluginError(f"forward's '{task.name}' is {type(found).__name__} (a tensor {wanted} is expected)")
        if found.ndim != (4 if task.dense else 2) or found.shape[:2] != (batch, task.channels):
            raise PluginError(f"forward's '{task.name}' has the shape {tuple(found.shape)} (expected: {wanted})")
