"""A backbone of a user's own has what the contract names and nothing else; every method runs on it as its definition says."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from mtlbench import plugins
from mtlbench.backbones import Architecture, Backbone, Block, Build
from mtlbench.config import parse
from mtlbench.errors import ConfigError
from mtlbench.method import Budget, Method, Where
from tests.helpers.command import ROOT
from tests.helpers.networks import TASKS, begun

QUARTER = f"{ROOT}/docs/examples/my_backbone.py:quarter"


def made(name: str, options: dict[str, object] | None = None, spec: str = QUARTER) -> Method:
    cls = plugins.load("methods", name)
    architecture = Architecture(spec, (3, 32, 32), width=0.5, head=8)
    build = Build(architecture, plugins.load("backbones", spec), 0)
    method: Method = cls(parse(cls.Options, options or {}, name), build, TASKS[:3])
    return method


def images(count: int = 2) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", plugins.names("methods"))
def test_every_method_runs_and_heads_follow_the_stride(name: str) -> None:
    method = made(name)
    phases = begun(method, Budget(40, {"train": 10, "train-a": 8, "train-b": 2}))
    names = tuple(t.name for t in TASKS[:3])
    for phase in phases:
        for turn in range(len(phase.turns)):
            method.where = Where(20, phase.name, 0, turn)
            found = method.train()(images(), names)
            assert {f.shape[-2:] for f in found.values()} == {(8, 8)}
    kept = method.eval().deployed().eval()(images(), names)
    assert all(bool(torch.isfinite(f).all()) for f in kept.values())


def test_dilations_follow_the_stride() -> None:
    sides = {}
    for spec in (QUARTER, "resnet18"):
        head = made("hard-sharing", spec=spec).heads["depth"]
        sides[spec] = [branch[0].dilation[0] for branch in head.branches]
    assert sides == {QUARTER: [2, 4, 6, 8], "resnet18": [1, 2, 3, 4]}  # (side - 1) k / 4 for sides of 9 and 5


@torch.inference_mode()
def test_adashare_skips_branches_and_ends_blocks_as_they_say() -> None:
    policy = ["1010", "1101", "0000"]
    method = made("adashare", {"policy": ",".join(policy)}).eval()
    network = method.deployed().eval()
    found = network(images(), tuple(t.name for t in TASKS[:3]))
    for task, row in zip(TASKS[:3], policy, strict=True):
        x = method.backbone.stem(images())
        for block, executes in zip(method.backbone.blocks, row, strict=True):
            shortcut = x if block.projection is None else block.projection(x)
            x = shortcut + block.branch(x) if executes == "1" else shortcut  # no ReLU: the block says so
        torch.testing.assert_close(found[task.name], method.heads[task.name](x))


@torch.inference_mode()
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_den_runs_the_first_channels_of_every_block(level: int) -> None:
    method = made("den").eval()
    for logits in method.selector.logits.values():
        logits[:, level] = 9.0
    found = method(images(), ("depth",))["depth"]
    x = method.network.backbone.stem(images())
    for block in method.network.backbone.blocks:
        shortcut = x if block.projection is None else block.projection(x)
        x = shortcut + narrowed(block, x, level) if level else shortcut
    torch.testing.assert_close(found, method.network.heads["depth"](x))
    kept = method.deployed().eval()
    torch.testing.assert_close(kept(images(), ("depth",))["depth"], found)


def narrowed(block: Block, x: Tensor, level: int) -> Tensor:
    """norm-ReLU-conv twice with the first quarter, half or all of the middle channels, by hand."""
    first, second = (m for m in block.branch.layers if isinstance(m, nn.Conv2d))
    before, between = block.branch.norms[str(level)]
    wide = nn.functional.conv2d(torch.relu(before(x)), first.weight, stride=first.stride, padding=1)
    count = max(1, round((0.25, 0.5, 1.0)[level - 1] * len(first.weight)))
    return nn.functional.conv2d(torch.relu(between(wide[:, :count])), second.weight[:, :count], padding=1)


def linear_blocks(architecture: Architecture, norm: object) -> Backbone:
    """Blocks over channels that lie last, as in transformers."""

    class Mlp(Block):
        def __init__(self) -> None:
            super().__init__(nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8)))

    return Backbone(nn.Conv2d(3, 8, 4, 4), [[Mlp()], [Mlp()]], (8, 8, 8), stride=4)


@torch.inference_mode()
def test_den_refuses_what_it_cannot_narrow() -> None:
    from baselines.elastic import ElasticBranch

    build = Build(Architecture("own", (3, 32, 32)), linear_blocks, 0)
    branch = build.backbone().blocks[0].branch
    elastic, x = ElasticBranch.of(branch, build).eval(), torch.randn(2, 5, 8)
    torch.testing.assert_close(elastic(x, 3), branch(x))
    middle = branch[2](branch[1](branch[0](x)))[..., :4]
    by_hand = middle @ branch[3].weight[:, :4].T + branch[3].bias
    torch.testing.assert_close(elastic(x, 1), by_hand)
    torch.testing.assert_close(elastic.trimmed([1])(x, 1), by_hand)
    with pytest.raises(ConfigError, match=r"a branch of Linear has none between two \(allowed: an nn.Sequential"):
        ElasticBranch.of(nn.Linear(8, 8), build)
    grouped = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 8, 1))
    with pytest.raises(ConfigError, match="den cannot narrow the Conv2d in the middle of a branch"):
        ElasticBranch.of(grouped, build)


def test_asking_for_other_phases_leaves_the_running_plan_alone() -> None:
    method = made("adashare")
    begun(method, Budget(1000, {"train": 10, "train-a": 8, "train-b": 2}))
    method.where = Where(700, "policy", 20, 0)
    ask = partial(method.phases, Budget(100, {"train": 10, "train-a": 8, "train-b": 2}))
    before = (method.schedule, method.log(), method.train()(images(), ("depth",))["depth"])
    first = ask()
    assert (method.schedule, method.log()) == before[:2]
    assert torch.equal(method(images(), ("depth",))["depth"], before[2])
    assert ask() == first
    assert sum(p.steps for p in first) == 100
