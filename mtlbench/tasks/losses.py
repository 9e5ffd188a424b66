"""Task losses, split over the images of a batch: `losses[t]` is (B,) and sums to the batch's loss.

Only labelled pixels count, wherever they lie: an image's loss is that of its labelled pixels over all labelled pixels of
the batch, so an image without labels contributes 0. What is measured of a pixel is the kind's.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.tasks.task import Task


def to_label(task: Task, prediction: Tensor, target: Tensor) -> Tensor:
    """A prediction (B, C, h, w) at its label's resolution (B, C, H, W), bilinearly; normals are unit vectors after."""
    if task.dense and prediction.shape[-2:] != target.shape[-2:]:
        # Channels last: many classes are resized and normalised twice as fast on a CPU.
        prediction = prediction.contiguous(memory_format=torch.channels_last)
        prediction = F.interpolate(prediction, size=target.shape[-2:], mode="bilinear", align_corners=False)
    return task.meaning.finished(prediction)


def labelled(task: Task, target: Tensor) -> Tensor:
    """Where a target carries a label: (B, H, W) for dense tasks, (B,) for others."""
    return task.meaning.labelled(target)


def elementwise(task: Task, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of every labelled element, 0 elsewhere, and the mask: both (B, H, W) or (B,).

    `prediction` is at the label's resolution (`to_label`); a normal's label is a unit vector.
    """
    mask = labelled(task, target)
    return task.meaning.loss(task, prediction, target, mask), mask


def _all(labelled: Tensor) -> Tensor:
    return labelled


def task_loss(task: Task, prediction: Tensor, target: Tensor, total: Callable[[Tensor], Tensor] = _all) -> Tensor:
    """Each image's part of the task's loss over the batch: (B,), summing to the mean over labelled elements.

    `prediction` is the network's output at any resolution. Where these are only some of the batch's images, `total` makes
    the whole batch's labelled elements, a scalar, from those counted here.
    """
    wide = prediction.float() if prediction.dtype in (torch.bfloat16, torch.float16) else prediction
    prediction = to_label(task, wide, target)
    loss, mask = elementwise(task, prediction, target)
    return loss.reshape(len(loss), -1).sum(1) / total(mask.sum()).clamp(min=1)
