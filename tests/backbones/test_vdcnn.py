"""VD-CNN: the paper's sizes and depths, the block contract, and the text head's k-max pooling."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtlbench.backbones import Architecture, Backbone, Build
from mtlbench.backbones.base import StreamNorm
from mtlbench.backbones.heads import TextHead
from mtlbench.backbones.vdcnn import TOKENS, vdcnn9, vdcnn17, vdcnn29
from mtlbench.tasks import Task
from tests.helpers.networks import tiny_build

MAKERS = {9: vdcnn9, 17: vdcnn17, 29: vdcnn29}
TASK = Task("books", "classification", 2)


def tokens(batch: int = 3, length: int = 64, seed: int = 0) -> Tensor:
    return torch.randint(0, TOKENS, (batch, length), generator=torch.Generator().manual_seed(seed))


def backbone(depth: int, width: float = 0.125, length: int = 64) -> Backbone:
    return Build(Architecture(f"vdcnn{depth}", (length,), width), MAKERS[depth], seed=0).backbone()


def convolutions(network: nn.Module) -> list[nn.Conv1d]:
    return [m for m in network.modules() if isinstance(m, nn.Conv1d)]


@pytest.mark.parametrize("depth", [9, 17, 29])
def test_the_depth_counts_the_convolutions_outside_the_shortcuts(depth: int) -> None:
    network = backbone(depth)
    assert len([c for c in convolutions(network) if c.kernel_size == (3,)]) == depth
    assert len(network.blocks) == (depth - 1) // 2


@pytest.mark.parametrize("depth", [9, 17, 29])
def test_parameters_at_width_one_are_those_of_the_papers_layers(depth: int) -> None:
    blocks = {9: (1, 1, 1, 1), 17: (2, 2, 2, 2), 29: (5, 5, 2, 2)}[depth]
    expected = 69 * 16 + (16 * 64 * 3 + 64)
    inputs = 64
    for stage, (width, count) in enumerate(zip((64, 128, 256, 512), blocks, strict=True)):
        for block in range(count):
            expected += 3 * inputs * width + 3 * width * width + 4 * width
            expected += inputs * width + 2 * width if stage > 0 and block == 0 else 0
            inputs = width
    assert sum(p.numel() for p in backbone(depth, width=1.0).parameters()) == expected


@pytest.mark.parametrize("length", [64, 61, 9])
def test_stages_double_the_width_and_halve_the_length_rounding_up(length: int) -> None:
    network = backbone(9, length=length)
    x = network.stem(tokens(length=length))
    assert x.shape == (3, network.channels[0], length)
    for stage, channels in zip(network.stages, network.channels[1:], strict=True):
        x = stage(x)
        assert x.shape == (3, channels, length)
        length = -(-length // 2)


def test_every_block_is_relu_of_shortcut_plus_residual() -> None:
    network = backbone(17).eval()
    x = network.stem(tokens())
    for block in network.blocks:
        y = block(x)
        assert torch.equal(y, F.relu(block.shortcut(x) + block.residual(x)))
        x = y
    assert torch.equal(x, network(tokens()))


def test_a_skipped_block_leaves_a_shape_that_the_next_block_takes() -> None:
    network = backbone(9).eval()
    x = network.stem(tokens())
    for block in network.blocks:
        x = block.shortcut(x)
    assert x.shape == network(tokens()).shape


def test_widths_so_small_that_stages_coincide_still_halve_the_length() -> None:
    network = backbone(9, width=0.03)
    assert len(set(network.channels)) < 5
    x = network.stem(tokens())
    for block in network.blocks:
        assert block.shortcut(x).shape == block.residual(x).shape
        x = block(x)


def test_every_stream_has_its_own_one_dimensional_norms() -> None:
    build = tiny_build("vdcnn9", 0.0625, (32,), ("books", "dvd"))
    network = build.backbone()
    norms = [m for m in network.modules() if isinstance(m, StreamNorm)]
    assert len(norms) == 2 * 4 + 3
    assert all(isinstance(n, nn.BatchNorm1d) for m in norms for n in m.norms)
    build.stream = "dvd"
    network(tokens(length=32))
    assert all(m.norms[0].num_batches_tracked == 0 and m.norms[1].num_batches_tracked == 1 for m in norms)


def test_gradients_reach_every_parameter() -> None:
    build = tiny_build("vdcnn9", 0.0625, (32,))
    network, head = build.backbone(), build.head(TASK, 32)
    head(network(tokens(8, length=32))).square().sum().backward()
    for name, parameter in [*network.named_parameters(), *head.named_parameters()]:
        assert parameter.grad is not None
        assert parameter.grad.abs().sum() > 0, name


def test_k_max_pooling_keeps_the_largest_values_in_the_order_of_the_text() -> None:
    head = TextHead(inputs=1, outputs=2, hidden=4, length=20, dropout=0.0)
    head.linear = nn.Sequential(nn.Identity())
    x = torch.tensor([[[3.0, 9, 1, 8, 2, 7, 0, 6, 5, 4, -1, -2, 10, -3]]])
    assert head(x).tolist() == [[3, 9, 8, 7, 6, 5, 4, 10]]


def test_k_max_pooling_agrees_with_a_loop() -> None:
    head = TextHead(inputs=3, outputs=2, hidden=4, length=11, dropout=0.0)
    head.linear = nn.Sequential(nn.Identity())
    x = torch.randn(4, 3, 11, generator=torch.Generator().manual_seed(1))
    expected = []
    for text in x.tolist():
        row = []
        for channel in text:
            kept = sorted(range(11), key=lambda i: -channel[i])[:8]
            row += [channel[i] for i in sorted(kept)]
        expected.append(row)
    assert torch.equal(head(x), torch.tensor(expected))


@pytest.mark.parametrize("length", [8, 20, 63, 64, 1024])
def test_the_head_fits_the_backbones_features_at_any_length(length: int) -> None:
    build = tiny_build("vdcnn9", 0.0625, (length,))
    network = build.backbone()
    head = build.head(TASK, network.channels[-1])
    assert isinstance(head, TextHead)
    assert head(network(tokens(2, length))).shape == (2, 2)


def test_makers_are_functions_of_seed_and_name() -> None:
    first, second = (tiny_build("vdcnn9", 0.0625, (32,)).backbone() for _ in range(2))
    other = tiny_build("vdcnn9", 0.0625, (32,), seed=1).backbone()
    same = zip(first.parameters(), second.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in same)
    assert not torch.equal(first.stem.embedding.weight, other.stem.embedding.weight)
