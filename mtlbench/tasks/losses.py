"""Task losses, split over the images of a batch: `losses[t]` is (B,) and sums to the batch's loss.

Only labelled pixels count, wherever they lie: an image's share is its labelled pixels' loss over all labelled pixels of
the batch, so an image without labels contributes 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.tasks import VOID, Task

COSINE_EPS = 1e-3


def unit(vectors: Tensor, eps: float = COSINE_EPS) -> Tensor:
    """Unit vectors along dim 1, (B, 3, H, W); shorter ones than eps keep their ratio to it.

    F.normalize in plain sums: its norm over a short, strided axis takes 25 times as long on a CPU.
    """
    return vectors * vectors.square().sum(1, keepdim=True).clamp(min=eps * eps).rsqrt()


def to_label(task: Task, prediction: Tensor, target: Tensor) -> Tensor:
    """A prediction (B, C, h, w) at its label's resolution (B, C, H, W), bilinearly; normals are unit vectors after."""
    if not task.dense:
        return prediction
    if prediction.shape[-2:] != target.shape[-2:]:
        # Channels last: many classes are resized and normalised twice as fast on a CPU.
        prediction = prediction.contiguous(memory_format=torch.channels_last)
        prediction = F.interpolate(prediction, size=target.shape[-2:], mode="bilinear", align_corners=False)
    return unit(prediction) if task.kind == "normals" else prediction


def labelled(task: Task, target: Tensor) -> Tensor:
    """Where a target carries a label: (B, H, W) for dense tasks, (B,) for classification."""
    if task.kind in ("segmentation", "classification"):
        return target != VOID
    return torch.isfinite(target).all(dim=1)


def elementwise(task: Task, prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of every labelled element, 0 elsewhere, and the mask: both (B, H, W) or (B,).

    `prediction` is at the label's resolution (`to_label`); a normal's label is a unit vector.
    """
    mask = labelled(task, target)
    if task.kind in ("segmentation", "classification"):
        rows = prediction.movedim(1, -1).reshape(-1, task.channels)  # (pixels, classes)
        return F.cross_entropy(rows, target.flatten(), ignore_index=VOID, reduction="none").view(target.shape), mask
    # The unlabelled NaNs must go before the subtraction: 0 * NaN is NaN in the backward pass too.
    target = torch.where(mask.unsqueeze(1), target, torch.zeros_like(target))
    if task.kind == "normals":
        loss = 1.0 - (prediction * target).sum(1)
    else:
        loss = (prediction - target).abs().mean(dim=1)
    return loss * mask, mask


def task_loss(task: Task, prediction: Tensor, target: Tensor) -> Tensor:
    """Each image's share of the task's loss over the batch: (B,), summing to the mean over labelled elements.

    Cross-entropy for segmentation and classification, 1 - cosine (eps 1e-3) for normals, L1 for depth, keypoints and
    edges (AdaShare, section 4.1). `prediction` is the network's output at any resolution.
    """
    prediction = to_label(task, prediction.float(), target)
    loss, mask = elementwise(task, prediction, target)
    return loss.flatten(1).sum(1) / mask.sum().clamp(min=1) if task.dense else loss / mask.sum().clamp(min=1)
