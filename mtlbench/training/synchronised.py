"""Batch norm over all ranks' slices of a batch, on any device: torch's own (`SyncBatchNorm`) is for GPUs alone."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mtlbench.errors import ConfigError
from mtlbench.training.ranks import World, join


def synchronise(module: nn.Module, world: World) -> None:
    """Make every batch norm in a module use the statistics of all ranks' images while it trains.

    Parameters, buffers and names stay. ConfigError for a batch norm that computes in a way of its own.
    """
    if world.size == 1:
        return
    for name, norm in module.named_modules():
        if isinstance(norm, _BatchNorm) and not isinstance(norm, Synchronised):
            if type(norm) not in _KINDS:
                kind = type(norm).__name__
                raise ConfigError(
                    f"batch norm '{name}' of kind {kind} cannot be synchronised (allowed: run.local_norm=true)"
                )
            norm.__class__ = _KINDS[type(norm)]


class Synchronised:
    """What the batch norms below have in common: where they train, the statistics are those of the whole batch."""

    def forward(self: Any, x: Tensor) -> Tensor:
        """(B, C, ...) of this rank's images -> the same, normalised."""
        if not self.training or x.device.type == "meta":
            plain: Tensor = super().forward(x)  # type: ignore[misc]
            return plain
        world = join(x.device.type)
        y, mean, variance, count = _Normalised.apply(x, self.weight, self.bias, self.eps, world)  # type: ignore[no-untyped-call]
        if self.track_running_stats and self.running_mean is not None:
            self._remember(mean, variance * (count / (count - 1)))
        normalised: Tensor = y
        return normalised

    def _remember(self: Any, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        rate = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), rate)
        self.running_var.lerp_(variance.to(self.running_var), rate)


class Synchronised1d(Synchronised, nn.BatchNorm1d):
    """Of (B, C) or (B, C, L)."""


class Synchronised2d(Synchronised, nn.BatchNorm2d):
    """Of (B, C, H, W)."""


_KINDS: dict[type[nn.Module], Any] = {nn.BatchNorm1d: Synchronised1d, nn.BatchNorm2d: Synchronised2d}


class _Normalised(torch.autograd.Function):
    """Statistics of slices are put together without cancellation (Chan, Golub and LeVeque 1983), one exchange a pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float, world: World) -> Any:
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        axes = [d for d in range(x.dim()) if d != 1]
        variance, mean = torch.var_mean(wide, axes, correction=0)
        count = float(x.numel() // x.shape[1])
        rows = torch.zeros(world.size, 3, len(mean), dtype=mean.dtype, device=x.device)
        rows[world.rank] = torch.stack([torch.full_like(mean, count), mean, variance])
        counts, means, variances = world.total(rows).unbind(1)
        all_ = counts.sum(0)
        mean = (counts * means).sum(0) / all_
        variance = (counts * (variances + (means - mean).square())).sum(0) / all_
        ctx.save_for_backward(x, weight, mean, (variance + eps).rsqrt(), all_)
        ctx.world = world
        y = F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance, float(all_[0])

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        x, weight, mean, scale, count = ctx.saved_tensors
        shape = [1, -1, *[1] * (x.dim() - 2)]
        axes = [d for d in range(x.dim()) if d != 1]
        gradient = gradients[0].to(mean.dtype)
        centred = (x.to(mean.dtype) - mean.view(shape)) * scale.view(shape)
        of_bias, of_weight = gradient.sum(axes), (gradient * centred).sum(axes)
        sums = ctx.world.total(torch.stack([of_bias, of_weight])) / count
        inner = gradient - sums[0].view(shape) - centred * sums[1].view(shape)
        of_x = (inner * (weight * scale).view(shape)).to(x.dtype)
        return of_x, of_weight.to(weight.dtype), of_bias.to(weight.dtype), None, None
