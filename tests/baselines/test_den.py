"""What is true of DEN."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from baselines.den import DEN, Selector, reinforce, run, run_each
from baselines.elastic import LEVEL_FRACTIONS, TOP, ElasticBranch
from mtlbench.method import Budget, Where
from mtlbench.tasks import Task
from tests.helpers.networks import images, tiny_build, tiny_method

NAMES = ["segmentation", "normals", "depth"]
LEVELS = {  # what the tests below let the tasks use: 8 blocks, with a prefix that the first two share
    "segmentation": (3, 2, 0, 1, 3, 1, 2, 3),
    "normals": (3, 2, 0, 3, 1, 2, 1, 0),
    "depth": (0, 1, 1, 1, 2, 3, 2, 1),
}


def chosen(method: DEN, levels: dict[str, tuple[int, ...]]) -> DEN:
    """The method with logits that make `levels` the most likely."""
    with torch.no_grad():
        for task, own in levels.items():
            method.selector.logits[task].copy_(4.0 * F.one_hot(torch.tensor(own), len(LEVEL_FRACTIONS)))
    return method


def moved_statistics(method: nn.Module) -> nn.Module:
    """In float64 and eval mode, every norm with statistics and an affine of its own."""
    generator = torch.Generator().manual_seed(2)
    method.double()
    with torch.no_grad():
        for m in method.modules():
            if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d):
                for value in (m.weight, m.bias, m.running_mean, m.running_var):
                    value.add_(0.2 * torch.rand(value.shape, generator=generator, dtype=value.dtype))
    return method.eval()


@pytest.mark.parametrize(
    ("backbone", "shape"), [("resnet18", (3, 32, 32)), ("resnet50", (3, 32, 32)), ("vdcnn9", (64,))]
)
@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_level_is_the_plain_branch_with_the_other_middle_channels_masked(
    backbone: str, shape: tuple[int, ...], level: int
) -> None:
    build = tiny_build(backbone, width=0.125, shape=shape)
    block = build.backbone().blocks[-1]
    plain = copy.deepcopy(block.branch).double().eval()
    branch = ElasticBranch.of(block.branch, build).double().eval()
    first = next(m for m in plain if isinstance(m, nn.Conv1d | nn.Conv2d))
    x = torch.randn(2, first.in_channels, *[8] * len(shape[1:] or (8,)), dtype=torch.float64)
    wanted = x
    convs = [m for m in plain if isinstance(m, nn.Conv1d | nn.Conv2d)]
    for layer in plain:
        wanted = layer(wanted)
        if isinstance(layer, nn.ReLU):
            keep = round(LEVEL_FRACTIONS[level] * wanted.shape[1])
            assert keep >= 1
            wanted = wanted * (torch.arange(wanted.shape[1]) < keep).view(-1, *(1 for _ in x.shape[2:]))
    torch.testing.assert_close(branch(x, level), wanted, rtol=1e-10, atol=1e-10)
    assert branch.weights(TOP) == sum(c.weight.numel() for c in convs)
    assert branch.weights(0) == 0


def test_at_the_top_level_it_is_hard_sharing() -> None:
    """Also in training mode; and so it starts, since equal logits choose the larger level."""
    method, hard = tiny_method("den").double(), tiny_method("hard-sharing").double()
    wanted = hard(images(4), NAMES)
    for task, output in method(images(4), NAMES).items():
        torch.testing.assert_close(output, wanted[task], rtol=1e-10, atol=1e-10)
    assert method.selector.likely("depth") == (TOP,) * 8


def test_equals_the_naive_loop_over_tasks() -> None:
    """Each task in a pass of its own, in float64: outputs to 1e-6, gradients to 1e-5."""
    a = moved_statistics(chosen(tiny_method("den"), LEVELS))
    b = copy.deepcopy(a)
    fast = a(images(4), NAMES)
    slow = {}
    for task in NAMES:
        x = b.network.backbone.stem(images(4))
        for block, level in zip(b.network.backbone.blocks, LEVELS[task], strict=True):
            x = F.relu(block.shortcut(x) + (block.branch(x, level) if level else 0.0))
        slow[task] = b.network.heads[task](x)
    for task in NAMES:
        torch.testing.assert_close(fast[task], slow[task], rtol=1e-6, atol=1e-6)
    sum(o.square().mean() for o in fast.values()).backward()
    sum(o.square().mean() for o in slow.values()).backward()
    for (path, p), q in zip(a.named_parameters(), b.named_parameters(), strict=True):
        assert (p.grad is None) == (q[1].grad is None), path
        if p.grad is not None:
            torch.testing.assert_close(p.grad, q[1].grad, rtol=1e-5, atol=1e-5, msg=path)


def test_a_shared_prefix_runs_once_and_a_skipped_branch_not_at_all() -> None:
    method = chosen(tiny_method("den"), LEVELS)
    method(images(dtype=torch.float32), NAMES)
    runs = []
    for block in method.network.backbone.blocks:
        norms = block.branch.norms
        runs.append([int(norms[str(level)][-1].num_batches_tracked) for level in (1, 2, 3)])
    assert runs == [[0, 0, 1], [1, 1, 0], [1, 0, 0], [2, 0, 1], [1, 1, 1], [1, 1, 1], [1, 2, 0], [1, 0, 1]]


def test_images_at_levels_of_their_own_equal_images_alone() -> None:
    method = moved_statistics(tiny_method("den"))
    block, x = method.network.backbone.blocks[2], torch.rand(6, 4, 9, 9, dtype=torch.float64)
    levels = torch.tensor([3, 0, 1, 3, 2, 0])
    wanted = torch.cat([run(block, x[i : i + 1], int(n)) for i, n in enumerate(levels)])
    torch.testing.assert_close(run_each(block, x, levels), wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("count", [2, 3])
def test_reinforce_is_unbiased(count: int) -> None:
    """The estimate's expectation over every possible outcome of `count` draws equals the exact gradient.

    Two blocks of three levels; rewards depend on the draw and on the image it is made for.
    """
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    outcomes = list(itertools.product(range(3), repeat=2))
    reward = torch.randn(count, len(outcomes), generator=generator, dtype=torch.float64)

    def log_probability(outcome: int) -> Tensor:
        table = logits.log_softmax(1)
        return table[0, outcomes[outcome][0]] + table[1, outcomes[outcome][1]]

    expected = sum(log_probability(o).exp() * reward[:, o].mean() for o in range(9))
    exact = torch.autograd.grad(-expected, logits)[0]
    estimate = torch.zeros_like(logits)
    for drawn in itertools.product(range(9), repeat=count):
        logs = torch.stack([log_probability(o) for o in drawn])
        loss = reinforce(logs, torch.stack([reward[i, o] for i, o in enumerate(drawn)]))
        estimate += logs.sum().exp().detach() * torch.autograd.grad(loss, logits)[0]
    torch.testing.assert_close(estimate, exact, rtol=1e-10, atol=1e-12)


def test_the_baseline_removes_what_all_draws_share() -> None:
    """Adding a constant to every reward changes nothing; one draw alone has the baseline 0."""
    logs, rewards = torch.randn(5, dtype=torch.float64), torch.randn(5, dtype=torch.float64)
    torch.testing.assert_close(reinforce(logs, rewards), reinforce(logs, rewards + 7.0))
    torch.testing.assert_close(reinforce(logs[:1], rewards[:1]), -(rewards[0] * logs[0]))


def test_selector_draws_by_its_probabilities_and_knows_them() -> None:
    selector = Selector(["a"], 3)
    with torch.no_grad():
        selector.logits["a"].copy_(torch.randn(3, 4, generator=torch.Generator().manual_seed(0)))
    torch.manual_seed(0)
    levels = selector.draw("a", 20_000)
    assert levels.shape == (20_000, 3)
    frequency = F.one_hot(levels, 4).double().mean(0)
    torch.testing.assert_close(frequency, selector.probabilities("a").double(), rtol=0, atol=0.015)
    p = selector.probabilities("a")
    wanted = (p[0, 1] * p[1, 3] * p[2, 0]).log()
    torch.testing.assert_close(selector.log_probability("a", torch.tensor([[1, 3, 0]]))[0], wanted)


def test_size_is_the_share_of_the_branches_weights() -> None:
    method = tiny_method("den", 1)
    levels = torch.tensor([[3] * 8, [0] * 8, [2] * 8, [1] * 8])
    torch.testing.assert_close(method.size(levels), torch.tensor([1.0, 0.0, 0.5, 0.25]))
    one = torch.zeros(1, 8, dtype=torch.long)
    one[0, 7] = 3
    convs = [m.weight.numel() for m in method.network.backbone.blocks[7].branch.convolutions]
    every = sum(m.weight.numel() for b in method.network.backbone.blocks for m in b.branch.convolutions)
    torch.testing.assert_close(method.size(one), torch.tensor([sum(convs) / every]))


def test_the_selectors_turn_moves_nothing_but_the_selector() -> None:
    method = tiny_method("den")
    method.where = Where(phase="elastic", turn=1)
    before = {k: v.clone() for k, v in method.state_dict().items()}
    out = method(images(6, dtype=torch.float32), NAMES)
    method.loss({t: o.square().mean((1, 2, 3)) / 6 for t, o in out.items()}).backward()
    assert {n for n, p in method.named_parameters() if p.grad is not None} == {f"selector.logits.{t}" for t in NAMES}
    assert all(torch.equal(v, before[k]) for k, v in method.state_dict().items())
    assert method.network.training
    assert all((method.selector.logits[t].grad.abs().sum(1) > 0).all() for t in NAMES)


def test_the_selectors_reward_by_hand() -> None:
    """Two images: reward -B * share - cost * size, each against the other's."""
    method = tiny_method("den", 1, {"cost": 0.5})
    method.where = Where(phase="elastic", turn=1)
    levels = torch.tensor([[3] * 8, [0] * 8])
    method._drawn["segmentation"] = levels
    rewards = torch.tensor([-2 * 0.25 - 0.5 * 1.0, -2 * 0.75 - 0.5 * 0.0])
    logs = torch.full((2,), 8 * torch.tensor(0.25).log())
    loss = method.loss({"segmentation": torch.tensor([0.25, 0.75])})
    torch.testing.assert_close(loss, -((rewards - rewards.flip(0)) * logs).mean())


def test_weights_turn_trains_levels_drawn_anew_each_step() -> None:
    method = tiny_method("den", 1)
    method.where = Where(phase="elastic", turn=0)
    runs = []
    for step in range(12):
        torch.manual_seed(step)
        method(images(dtype=torch.float32), ["segmentation"])
    for block in method.network.backbone.blocks:
        runs.append([int(block.branch.norms[str(level)][0].num_batches_tracked) for level in (1, 2, 3)])
    assert all(sum(r) <= 12 for r in runs)
    assert sum(map(sum, runs)) == pytest.approx(12 * 8 * 0.75, rel=0.2)


def test_the_selector_learns_to_save_what_costs_too_much() -> None:
    """With a cost that outweighs every loss, REINFORCE ends at the smallest level of every block."""
    method = tiny_method("den", 1, {"cost": 100.0})
    method.where = Where(phase="elastic", turn=1)
    optimizer = torch.optim.Adam(method.selector.parameters(), lr=0.3)
    for step in range(60):
        torch.manual_seed(step)
        method._drawn["segmentation"] = method.selector.draw("segmentation", 16)
        optimizer.zero_grad()
        method.loss({"segmentation": torch.rand(16) / 16}).backward()
        optimizer.step()
    assert sum(LEVEL_FRACTIONS[level] == 0 for level in method.selector.likely("segmentation")) >= 6
    assert method.log()["share.segmentation"] < 0.2


def test_deployed_equals_the_trained_network_and_computes_less() -> None:
    method = moved_statistics(chosen(tiny_method("den", width=0.25), LEVELS))
    deployed = method.deployed().eval()
    for tasks in (NAMES, ["normals"]):
        for task, output in method(images(), tasks).items():
            torch.testing.assert_close(deployed(images(), tasks)[task], output, rtol=1e-10, atol=1e-10)
    assert sum(p.numel() for p in deployed.parameters()) < sum(p.numel() for p in method.parameters())
    one = LEVELS["depth"]  # the middle channels' share is the branch's: its convolutions are linear in them
    backbone = method.network.backbone
    method.network.heads["depth"] = deployed.network.heads["depth"] = nn.Identity()
    with FlopCounterMode(display=False) as counter:
        deployed(images(1), ["depth"])
    wanted = _flops(backbone, one)
    assert counter.get_total_flops() == wanted < _flops(backbone, (TOP,) * 8)


def _flops(backbone: nn.Module, levels: tuple[int, ...]) -> float:
    """Of the stem, every block's shortcut, and each branch's share, counted part by part."""
    x = images(1)
    with FlopCounterMode(display=False) as rest, torch.no_grad():
        x = backbone.stem(x)
        shapes = []
        for block in backbone.blocks:
            shapes.append(x)
            x = block.shortcut(x)
    total = float(rest.get_total_flops())
    for block, x, level in zip(backbone.blocks, shapes, levels, strict=True):
        with FlopCounterMode(display=False) as branch, torch.no_grad():
            block.branch(x, TOP)
        total += LEVEL_FRACTIONS[level] * branch.get_total_flops()
    return total


def test_deployed_holds_only_what_a_task_uses() -> None:
    method = chosen(tiny_method("den", 2, width=0.25), {"segmentation": (1,) * 8, "normals": (2,) + (0,) * 7})
    blocks = method.deployed().network.backbone.blocks
    assert list(blocks[0].branch.norms) == ["1", "2"]
    assert [tuple(c.weight.shape[:2]) for c in blocks[0].branch.convolutions] == [(8, 16), (16, 8)]
    assert [tuple(c.weight.shape[:2]) for c in blocks[7].branch.convolutions] == [(32, 128), (128, 32)]
    nothing = chosen(tiny_method("den", 1), {"segmentation": (0,) * 8}).deployed()
    assert not any(list(block.branch.parameters()) for block in nothing.network.backbone.blocks)
    assert nothing(images(dtype=torch.float32), ["segmentation"])["segmentation"].isfinite().all()


@pytest.mark.parametrize(("settle", "steps", "expected"), [(0.25, 100, [75, 25]), (0, 100, [100]), (0.9, 1, [1])])
def test_phases_spend_the_budget(settle: float, steps: int, expected: list[int]) -> None:
    phases = tiny_method("den", options={"settle": settle}).phases(Budget(steps, {}))
    assert [p.steps for p in phases] == expected
    assert [p.final for p in phases] == [False] * (len(expected) - 1) + [True]
    weights, selector = phases[0].turns
    assert [g.prefix for g in weights.groups] == ["network"]
    assert [g.prefix for g in selector.groups] == ["selector"]
    assert (selector.optimizer.weight_decay, selector.optimizer.schedule) == (0.0, "constant")


def test_state_round_trip_and_deepcopy() -> None:
    method = moved_statistics(chosen(tiny_method("den"), LEVELS))
    other = tiny_method("den", seed=1).double().eval()
    other.load_state_dict(method.state_dict())
    for twin in (other, copy.deepcopy(method)):
        for task, output in twin(images(), NAMES).items():
            assert torch.equal(output, method(images(), NAMES)[task])


def test_texts_with_streams_of_their_own() -> None:
    tasks = (Task("books", "classification", 2), Task("films", "classification", 2))
    method = tiny_method("den", tasks, backbone="vdcnn9", shape=(64,), streams=("books", "films"))
    method.build.stream = "films"
    x = torch.randint(69, (4, 64))
    for turn in (0, 1):
        method.where = Where(phase="elastic", turn=turn)
        assert method(x, ["films"])["films"].shape == (4, 2)
    moved = {n for n, b in method.named_buffers() if n.endswith("num_batches_tracked") and b > 0}
    assert moved
    assert all(".norms.1.num" in n for n in moved)


def test_backbone_parameters_on_resnet34() -> None:
    """Norms of the two partial levels (5.5 channels a block) are all it adds; TASKS times 64 logits apart."""
    with torch.device("meta"):
        method = tiny_method("den", 3, backbone="resnet34", width=1.0)
        plain = sum(
            p.numel() for p in tiny_method("hard-sharing", 1, backbone="resnet34", width=1.0).backbone.parameters()
        )
    own = sum(p.numel() for p in method.network.backbone.parameters())
    channels = 3 * 64 + 4 * 128 + 6 * 256 + 3 * 512
    assert own - plain == 2 * channels * 0.75 + 4 * channels
    assert own / plain == pytest.approx(1.001, abs=5e-4)
    assert sum(p.numel() for p in method.selector.parameters()) == 3 * 16 * 4


def test_keeps_its_levels() -> None:
    (artefact,) = chosen(tiny_method("den"), LEVELS).artefacts()
    assert artefact.data["tasks"]["depth"]["share"] == [LEVEL_FRACTIONS[n] for n in LEVELS["depth"]]
    assert torch.tensor(artefact.data["tasks"]["depth"]["probabilities"]).shape == (8, 4)
