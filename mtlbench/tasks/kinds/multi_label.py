"""Multi-label: for each input, which of several labels it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.tasks.kinds.base import Values
from mtlbench.tasks.metric import Metric
from mtlbench.tasks.reductions import F1, Array, AveragePrecision
from mtlbench.tasks.task import Constant, Task

LOW, WIDTH, BINS = -12.0, 0.1, 240  # of the histograms of logits; what lies beyond is in the last bins
YES, NO = "yes_histogram", "no_histogram"


class Occurring(Constant):
    """Yes to every label that occurs at all: best in F1."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._occurs = torch.zeros(task.channels, dtype=torch.bool)

    def update(self, target: Tensor, mask: Tensor) -> None:
        self._occurs |= (target == 1).any(0).cpu()

    def prediction(self) -> Tensor:
        return torch.where(self._occurs, 1.0, -1.0)


class MultiLabel(Values):
    """Several labels for each input: binary cross-entropy; macro F1 at one half, and mean average precision.

    Labels are (B, C) float32: 1 is yes, 0 is no, NaN is unknown, each on its own. Average precision is that of logits in
    bins of 0.1 between -12 and 12.
    """

    name = "multi-label"
    likelihood: ClassVar[bool] = True
    view: ClassVar[str] = "labels"
    whole: ClassVar[frozenset[str]] = frozenset({YES, NO})
    constant: ClassVar[type[Constant]] = Occurring
    metrics = (
        Metric("macro_f1", "%", True, F1(), primary=True),
        Metric("average_precision", "%", True, AveragePrecision(BINS, YES, NO)),
    )

    def labelled(self, target: Tensor) -> Tensor:
        return torch.isfinite(target)

    def loss(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> Tensor:
        known = torch.where(mask, target, 0.0).to(prediction.dtype)
        return F.binary_cross_entropy_with_logits(prediction, known, reduction="none") * mask

    def statistics(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        """Of each label, (B, C): known, truly, as predicted, both; and histograms of its logits, (B, C * bins)."""
        yes, guess = mask & (target == 1), mask & (prediction > 0)
        bins = ((prediction.double() - LOW) / WIDTH).floor().clamp(0, BINS - 1).long().unsqueeze(2)  # (B, C, 1)
        empty = torch.zeros(*target.shape, BINS, dtype=torch.float64, device=target.device)
        histograms = {n: empty.scatter(2, bins, w.double().unsqueeze(2)) for n, w in ((YES, yes), (NO, mask & ~yes))}
        sums = {"count": mask, "truth": yes, "predicted": guess, "intersection": yes & guess}
        return {name: value.double() for name, value in sums.items()} | {n: h.flatten(1) for n, h in histograms.items()}

    def faults(self, task: Task, target: Tensor) -> Iterator[str]:
        wrong = target[torch.isfinite(target) & (target != 0) & (target != 1)]
        if len(wrong) or bool(torch.isinf(target).any()):
            given = f"{wrong[0].item():g}" if len(wrong) else "infinity"
            yield f"has label {given} (1 for yes, 0 for no, or NaN for unknown, is expected)"

    def example(self, task: Task, noise: Tensor) -> Tensor:
        level = (noise.float().flatten(1).mean(1) * 64).floor().long()
        return torch.stack([(level + i) // (i + 1) % 2 for i in range(task.channels)], 1).float()

    def answer(self, task: Task, prediction: Tensor) -> Array:
        """Each label's probability, (B, C)."""
        found: Array = prediction.sigmoid().numpy()
        return found

    def say(self, task: Task, prediction: Tensor) -> str:
        chosen = [i for i, p in enumerate(prediction[0].tolist()) if p > 0]
        names = [task.classes[i] if task.classes else f"label {i}" for i in chosen]
        return f"{task.name}: {', '.join(names) or 'none'}"
