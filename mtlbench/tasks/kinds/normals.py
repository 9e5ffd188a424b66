"""Surface normals: a unit vector for each pixel, in the camera's frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize

from mtlbench.tasks.kinds.base import Values, per_image
from mtlbench.tasks.kinds.constants import MeanDirection
from mtlbench.tasks.metric import Metric
from mtlbench.tasks.reductions import Mean, Quantile
from mtlbench.tasks.task import Constant, Task

COSINE_EPS = 1e-3
BIN = 0.05  # degrees: the median's resolution
LIMITS = (11.25, 22.5, 30.0)  # degrees
LENGTH = 1e-3  # how far a label's length may lie from 1
HISTOGRAM = "angle_histogram"


def unit(vectors: Tensor, eps: float = COSINE_EPS) -> Tensor:
    """Unit vectors along dim 1, (B, 3, H, W); shorter ones than eps keep their ratio to it.

    F.normalize in plain sums: its norm over a short, strided axis takes 25 times as long on a CPU.
    """
    return vectors * vectors.square().sum(1, keepdim=True).clamp(min=eps * eps).rsqrt()


class Normals(Values):
    """Unit vectors: 1 - cosine; mean and median angle in degrees, and the share of pixels within some angles."""

    name = "normals"
    dense: ClassVar[bool] = True
    channels: ClassVar[int | None] = 3
    view: ClassVar[str] = "directions"
    whole: ClassVar[frozenset[str]] = frozenset({HISTOGRAM})
    constant: ClassVar[type[Constant]] = MeanDirection
    metrics = (
        Metric("mean_angle", "deg", False, Mean("angle"), primary=True),
        Metric("median_angle", "deg", False, Quantile(HISTOGRAM, BIN)),
        *(Metric(f"within_{a:g}", "%", True, Mean("within", column=i, scale=100.0)) for i, a in enumerate(LIMITS)),
    )

    def finished(self, prediction: Tensor) -> Tensor:
        return unit(prediction)

    def distance(self, prediction: Tensor, target: Tensor) -> Tensor:
        return 1.0 - (prediction * target).sum(1)

    def statistics(self, task: Task, prediction: Tensor, target: Tensor, mask: Tensor) -> dict[str, Tensor]:
        cosine = (unit(prediction.double()) * unit(torch.nan_to_num(target).double())).sum(1).clamp(-1, 1)
        angle = torch.rad2deg(torch.acos(cosine))  # (B, H, W)
        bins = round(180 / BIN)
        index = (angle / BIN).long().clamp(max=bins - 1)
        index += torch.arange(len(angle), device=angle.device).view(-1, 1, 1) * bins
        histogram = torch.bincount(index[mask], minlength=len(angle) * bins).view(len(angle), bins).double()
        return {
            "count": per_image(mask),
            "angle": per_image(torch.where(mask, angle, 0.0)),
            "within": torch.cat([per_image(mask & (angle < limit)) for limit in LIMITS], 1),
            HISTOGRAM: histogram,
        }

    def moved(
        self, target: Tensor, zoom: Tensor, mirror: Tensor, lengths: Callable[[Tensor, Tensor], Tensor]
    ) -> Tensor:
        """A mirror negates x; a zoom by s at fixed intrinsics turns (x, y, z) to normalise(x, y, s z)."""
        target[:, 0] *= 1 - 2 * mirror.to(target.dtype).view(-1, 1, 1)
        if bool((zoom != 1).any()):
            target[:, 2] *= zoom.squeeze(1)
            x, y, z = target.unbind(1)
            length = (x * x + y * y + z * z).sqrt_().masked_fill_(zoom.squeeze(1) == 1, 1.0)
            target /= length.unsqueeze(1)
        return target

    def faults(self, task: Task, target: Tensor) -> Iterator[str]:
        yield from super().faults(task, target)
        length = target.norm(dim=1)[~torch.isnan(target).any(1)]
        if len(length) and not float((length - 1).abs().max()) <= LENGTH:
            yield f"has a vector of length {float(length[(length - 1).abs().argmax()]):.3g} (unit vectors are expected)"

    def example(self, task: Task, noise: Tensor) -> Tensor:
        return normalize(noise + 0.1, dim=1)
