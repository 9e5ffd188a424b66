"""A dilated convolution with gradients of its own: torch's to rounding, counted alike, and taken where they pay."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mtlbench.backbones import dilated
from mtlbench.backbones.dilated import DilatedConv2d

OWN = torch.ops.mtlbench.dilated_gradients


@pytest.fixture(autouse=True)
def _however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dilated, "INSIDE", ((1, 1.0),))


def example(shape: tuple[int, ...], dilation: int, last: bool) -> tuple[DilatedConv2d, Tensor, Tensor]:
    random = torch.manual_seed(0)
    layer = DilatedConv2d(shape[1], 5, dilation).double()
    x = torch.randn(shape, dtype=torch.float64, generator=random)
    if last:
        layer, x = (t.to(memory_format=torch.channels_last) for t in (layer, x))
    return layer, x.requires_grad_(), torch.randn(shape[0], 5, *shape[2:], dtype=torch.float64, generator=random)


def theirs(layer: DilatedConv2d, x: Tensor) -> Tensor:
    return F.conv2d(x, layer.weight, layer.bias, padding=layer.padding, dilation=layer.dilation)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize(
    ("shape", "dilation"), [((2, 3, 13, 13), 12), ((2, 3, 9, 14), 6), ((1, 3, 4, 9), 6), ((2, 3, 3, 3), 7)]
)
def test_values_and_gradients_are_torchs(shape: tuple[int, ...], dilation: int, last: bool) -> None:
    layer, x, slope = example(shape, dilation, last)
    wanted, found = theirs(layer, x), layer(x)
    assert torch.equal(found, wanted)
    assert type(found.grad_fn).__name__ == "_DilatedBackward"
    leaves = (x, layer.weight, layer.bias)
    for own, other in zip(*(torch.autograd.grad(y, leaves, slope) for y in (found, wanted)), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)


def test_several_gradients_at_once_are_torchs() -> None:
    layer, x, slope = example((2, 3, 9, 9), 6, True)
    slopes = torch.stack([slope, 2 * slope, slope.flip(0)])
    found, wanted = (
        torch.autograd.grad(y, (x, layer.weight), slopes, is_grads_batched=True) for y in (layer(x), theirs(layer, x))
    )
    for own, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("moving", ["both", "x", "weight"])
def test_flops_are_those_of_torchs(moving: str) -> None:
    layer, x, slope = example((2, 3, 9, 9), 6, True)
    x.requires_grad_(moving != "weight")
    layer.weight.requires_grad_(moving != "x")

    def counted(forward: object) -> int:
        with FlopCounterMode(display=False) as counter:
            forward().backward(slope)  # type: ignore[operator]
        return int(counter.get_total_flops())

    assert counted(lambda: layer(x)) == counted(lambda: theirs(layer, x)) > 0


@pytest.mark.parametrize("asked", [(True, True), (True, False), (False, True)])
def test_who_traces_it_is_told_the_right_shapes(asked: tuple[bool, bool]) -> None:
    layer, x, slope = example((2, 3, 9, 9), 6, False)
    given = (slope, x.detach(), layer.weight.detach(), 6, *asked)
    torch.library.opcheck(dilated.gradients, given, test_utils=("test_schema", "test_faketensor"))


def used(layer: DilatedConv2d, x: Tensor) -> bool:
    with FlopCounterMode(display=False) as counter:
        layer(x).sum().backward()
    return OWN in counter.get_flop_counts()["Global"]


def test_it_is_taken_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    x = torch.randn(1, 128, 13, 13)
    assert [used(DilatedConv2d(128, 128, d), x) for d in (3, 6, 9, 12)] == [False, False, True, True]
    assert not used(DilatedConv2d(128, 64, 12), x)
    assert used(DilatedConv2d(512, 512, 3), torch.randn(1, 512, 13, 13))
    layer = DilatedConv2d(128, 128, 12)
    with torch.autocast("cpu", torch.bfloat16):
        assert not used(layer, x)
    assert not used(layer.eval(), x)  # what is exported is torch's own
