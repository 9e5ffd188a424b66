"""A dilated 3x3 convolution whose gradients leave the padding out, on a CPU.

The wider the dilation, the more of a kernel's taps fall on padding: of a head's four branches on a map of 41x41 a sixth to
five eighths of all products are with zeros, on 13x13 a quarter to six sevenths. torch's forward pass leaves these out, its
backward passes compute them. Here a gradient is a matrix product a tap, over the part of the map where the tap meets it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.flop_counter import register_flop_formula

INSIDE = ((512, 0.75), (128, 0.35))
"""From so many channels on the products below pay where less than this fraction of all is inside the map."""

Part = tuple[slice, slice]


def inside(side: int, dilation: int) -> float:
    """The fraction of a 3-tap kernel's products, along one side of a map, that are not with padding."""
    return (side + 2 * max(0, side - dilation)) / (3 * side)


class DilatedConv2d(nn.Conv2d):
    """`nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)`, whose gradients differ by rounding alone."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__(inputs, outputs, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        if not self._pays(x):
            return super().forward(x)
        y: Tensor = _Dilated.apply(x, self.weight, self.bias, self.dilation[0])  # type: ignore[no-untyped-call]
        return y

    def _pays(self, x: Tensor) -> bool:
        training = self.training and torch.is_grad_enabled()
        if not training or x.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
            return False
        height, width = (inside(side, self.dilation[0]) for side in x.shape[-2:])
        channels = min(self.in_channels, self.out_channels)
        return height * width < next((most for least, most in INSIDE if channels >= least), 0.0)


class _Dilated(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.dilation = dilation
        return F.conv2d(x, weight, bias, padding=dilation, dilation=dilation)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        of_x, of_weight, of_bias, _ = ctx.needs_input_grad
        x, weight = gradients(gradient, *ctx.saved_tensors, ctx.dilation, of_x, of_weight)
        return x if of_x else None, weight if of_weight else None, gradient.sum((0, 2, 3)) if of_bias else None, None


@torch.library.custom_op(
    "mtlbench::dilated_gradients",
    mutates_args=(),
    schema="(Tensor gradient, Tensor x, Tensor weight, int dilation, bool of_x, bool of_weight) -> (Tensor, Tensor)",
)
def gradients(
    gradient: Tensor, x: Tensor, weight: Tensor, dilation: int, of_x: bool, of_weight: bool
) -> tuple[Tensor, Tensor]:
    """The convolution's gradients of x (B, C, h, w) and of weight (K, C, 3, 3), from that of its output (B, K, h, w).

    One that is not asked for is empty. One operator, so that FLOPs are counted as everywhere: padding included.
    """
    rows, slopes = (t.movedim(1, -1).contiguous() for t in (x, gradient))  # (B, h, w, C), (B, h, w, K)
    x_slope = torch.zeros_like(rows[: len(rows) * of_x])
    weight_slope = torch.zeros_like(weight[: len(weight) * of_weight])
    for i, j, there, here in _taps(x.shape[2], x.shape[3], dilation):
        slope = slopes[:, *there].flatten(0, 2)
        if of_weight:
            weight_slope[:, :, i, j] = slope.t() @ rows[:, *here].flatten(0, 2)
        if of_x:
            part = x_slope[:, *here]
            part += (slope @ weight[:, :, i, j]).view_as(part)
    return x_slope.movedim(-1, 1), weight_slope


@gradients.register_fake
def _shapes(
    gradient: Tensor, x: Tensor, weight: Tensor, dilation: int, of_x: bool, of_weight: bool
) -> tuple[Tensor, Tensor]:
    """Tensors like those that `gradients` returns, for whoever traces (torch.compile)."""
    rows = x.movedim(1, -1).contiguous()
    return torch.empty_like(rows[: len(rows) * of_x]).movedim(-1, 1), torch.empty_like(
        weight[: len(weight) * of_weight]
    )


def _taps(height: int, width: int, dilation: int) -> Iterator[tuple[int, int, Part, Part]]:
    """The taps that meet the map: their place in the kernel, the outputs they are part of, and the inputs they read."""
    for i, (rows, from_rows) in enumerate(_spans(height, dilation)):
        for j, (columns, from_columns) in enumerate(_spans(width, dilation)):
            if rows.start < rows.stop and columns.start < columns.stop:
                yield i, j, (rows, columns), (from_rows, from_columns)


def _spans(side: int, dilation: int) -> Iterator[tuple[slice, slice]]:
    for shift in (-dilation, 0, dilation):
        low, high = max(0, -shift), min(side, side - shift)
        yield slice(low, high), slice(low + shift, high + shift)


@register_flop_formula(torch.ops.mtlbench.dilated_gradients)
def _flops(
    gradient: tuple[int, ...], x: tuple[int, ...], weight: tuple[int, ...], dilation: int, of_x: bool, of_weight: bool,
    **_: Any,
) -> int:  # fmt: skip
    return 2 * math.prod(gradient) * math.prod(weight[1:]) * (of_x + of_weight)


@gradients.register_vmap
def _several(
    info: Any, places: tuple[int, ...], gradient: Tensor, *others: Any
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    """Several gradients of one output, as aggregators may ask for, one after another."""
    x, weight = zip(*(gradients(g, *others) for g in gradient.unbind(places[0])), strict=True)
    return (torch.stack(x), torch.stack(weight)), (0, 0)
