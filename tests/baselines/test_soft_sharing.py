"""What is true of every method of T networks."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from baselines.soft_sharing import APART, SoftSharing, mixed, mixing
from mtlbench.method import Budget, Method, Where
from tests.helpers.networks import TASKS, images, tiny_method

STREAMS = ("cross-stitch", "sluice", "nddr")
VARIANTS = [
    ("cross-stitch", {}),
    ("cross-stitch", {"unit": "channel"}),
    ("sluice", {}),
    ("sluice", {"alpha": "balanced", "beta": "uniform"}),
    ("nddr", {}),
    ("nddr", {"init": "xavier"}),
    ("nddr", {"shortcut": True}),
]


def perturbed(method: Method, scale: float = 0.05) -> Method:
    """In float64, every parameter and running statistic moved a little, so that no two streams are equal."""
    method.double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in [*method.parameters(), *(b for b in method.buffers() if b.is_floating_point())]:
            p.add_(scale * torch.rand(p.shape, generator=generator, dtype=p.dtype))
    return method


def total(outputs: dict[str, Tensor]) -> Tensor:
    return sum(o.square().mean() for o in outputs.values())  # type: ignore[return-value]


def test_mixed_is_the_weighted_sum() -> None:
    features = [torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(4)]
    table = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    naive = [sum(table[i, j] * features[j] for j in range(4)) for i in range(3)]
    for got, wanted in zip(mixed(table, features), naive, strict=True):
        torch.testing.assert_close(got, wanted)
    inputs = [table, *features]
    probe = [torch.randn_like(n) for n in naive]
    fast, slow = torch.autograd.grad(mixed(table, features), inputs, probe), torch.autograd.grad(naive, inputs, probe)
    for got, wanted in zip(fast, slow, strict=True):
        torch.testing.assert_close(got, wanted)


@pytest.mark.parametrize("shape", [(2, 4, 7), (2, 4, 5, 3)])
def test_mixed_subspaces_by_hand(shape: tuple[int, ...]) -> None:
    """Row by row over subspaces of sequences and of maps; the memory stays channels-last where it was."""
    features = [torch.randn(shape, dtype=torch.float64) for _ in range(2)]
    table = torch.randn(4, 4, dtype=torch.float64)
    g = [half for f in features for half in f.chunk(2, dim=1)]
    naive = [sum(table[i, j] * g[j] for j in range(4)) for i in range(4)]
    if len(shape) == 4:
        features = [f.contiguous(memory_format=torch.channels_last) for f in features]
    got = mixed(table, features, 2)
    for task in range(2):
        torch.testing.assert_close(got[task], torch.cat(naive[2 * task : 2 * task + 2], dim=1))
        assert len(shape) == 3 or got[task].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_shares_sum_to_one(count: int) -> None:
    table = mixing(count)
    torch.testing.assert_close(table.sum(1), torch.ones(count))
    assert table.diagonal().tolist() == pytest.approx([1.0 if count == 1 else 0.9] * count)


@pytest.mark.parametrize("name", STREAMS)
def test_streams_start_as_the_single_task_networks(name: str) -> None:
    streams, single = tiny_method(name).state_dict(), tiny_method("single-task").state_dict()
    assert all(torch.equal(streams[key], value) for key, value in single.items())


@pytest.mark.parametrize("name", STREAMS)
def test_warm_start_is_single_task_and_runs_only_what_is_asked(name: str) -> None:
    method, single = tiny_method(name), tiny_method("single-task")
    method.where = Where(phase=APART)
    ran = []
    for task, backbone in method.backbones.items():
        backbone.register_forward_hook(lambda *_, task=task: ran.append(task))
    out, wanted = method(images(dtype=torch.float32), ["depth"]), single(images(dtype=torch.float32), ["depth"])
    assert ran == ["depth"]
    assert torch.equal(out["depth"], wanted["depth"])
    method.loss({"depth": out["depth"].mean((1, 2, 3))}).backward()
    assert all(p.grad is None for p in method.units.parameters())


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize(("warm", "steps", "expected"), [(0.25, 100, [25, 75]), (0, 100, [100]), (0.9, 1, [1])])
def test_phases_spend_the_budget(name: str, warm: float, steps: int, expected: list[int]) -> None:
    phases = tiny_method(name, options={"warm_start": warm}).phases(Budget(steps, {"train": 10}))
    assert [p.steps for p in phases] == expected
    assert [p.final for p in phases] == [False] * (len(expected) - 1) + [True]
    assert [p.name for p in phases[:-1]] == [APART] * (len(expected) - 1)


@pytest.mark.parametrize("name", STREAMS)
def test_groups_name_modules_and_the_multiplier_reaches_the_units(name: str) -> None:
    method = tiny_method(name, options={"units_lr": 100, "units_decay": 0.5, "optimizer": "sgd", "lr": 0.01})
    apart, joined = method.phases(Budget(100, {}))
    modules = dict(method.named_modules())
    for group in (*apart.turns[0].groups, *joined.turns[0].groups):
        assert group.prefix in modules
    units = next(g for g in joined.turns[0].groups if g.prefix == "units")
    assert (units.lr, units.weight_decay) == (100, 0.5)
    assert "" in {g.prefix for g in joined.turns[0].groups}
    assert not any(g.prefix in ("units", "") for g in apart.turns[0].groups)
    for phase in (apart, joined):
        optimizer = phase.turns[0].optimizer
        assert (optimizer.name, optimizer.lr, optimizer.options) == ("sgd", 0.01, {"momentum": 0.9})


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_one_task_and_another_order_give_the_same_outputs(name: str, options: dict[str, object]) -> None:
    method = perturbed(tiny_method(name, options=options)).eval()
    names = [t.name for t in method.tasks]
    together = method(images(), names)
    backwards = method(images(), names[::-1])
    for task in names:
        torch.testing.assert_close(method(images(), [task])[task], together[task], rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(backwards[task], together[task], rtol=1e-10, atol=1e-10)
    assert set(method(images(), names[:2])) == set(names[:2])


@pytest.mark.parametrize("name", STREAMS)
def test_all_streams_run_once_but_only_the_named_heads(name: str) -> None:
    method = tiny_method(name)
    ran: list[str] = []
    for kind, part in (("head", method.heads), ("backbone", method.backbones)):
        for task, module in part.items():
            place = module.stages[3] if kind == "backbone" else module
            place.register_forward_hook(lambda *_, tag=f"{kind}.{task}": ran.append(tag))
    method(images(dtype=torch.float32), ["normals"])
    assert sorted(ran) == ["backbone.depth", "backbone.normals", "backbone.segmentation", "head.normals"]


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_every_slice_of_every_unit_gets_gradient(name: str, options: dict[str, object]) -> None:
    """None unused (a last unit with gradient exactly 0 is a known fault), in every input and output slice."""
    method = perturbed(tiny_method(name, options=options))
    total(method(images(4), [t.name for t in method.tasks])).backward()
    for path, p in method.units.named_parameters():
        assert p.grad is not None, path
        for dim in range(p.dim()):
            others = [d for d in range(p.dim()) if d != dim]
            sizes = p.grad.abs().sum(others) if others else p.grad.abs()
            assert (sizes > 0).all(), f"{path}, dimension {dim}"


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_tasks_mix_each_in_its_own_way(name: str, options: dict[str, object]) -> None:
    """One mixture for all tasks is a known fault: two tasks' features after the last site differ."""
    method = perturbed(tiny_method(name, options=options)).eval()
    assert isinstance(method, SoftSharing)
    *_, last = method.trail(images(), range(3))
    assert not torch.allclose(last[0], last[1])
    assert not torch.allclose(last[1], last[2])


@pytest.mark.parametrize("name", ["cross-stitch", "sluice"])
@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_equal_streams_keep_their_features_at_the_start(name: str, tasks: int) -> None:
    """Not the sum of them (units of ones are a known fault): each task's features are the single network's."""
    method, single = tiny_method(name, tasks).double().eval(), tiny_method("single-task", tasks).double().eval()
    x = images()
    *_, last = method.trail(x, range(tasks))
    for features, backbone in zip(last, single.backbones.values(), strict=True):
        torch.testing.assert_close(features, backbone(x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_nddr_keeps_equal_streams_up_to_its_batch_norm_at_the_start(tasks: int) -> None:
    method = tiny_method("nddr", tasks).double().eval()
    features = [images(side=4)[:, [0, 1, 2, 0]].abs()] * tasks
    for mixture in method.mix(0, features, range(tasks)):
        torch.testing.assert_close(mixture, features[0] / (1 + 1e-5) ** 0.5, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("name", "options"), VARIANTS)
@pytest.mark.parametrize("backbone", ["resnet18", "resnet34"])
def test_state_round_trip_and_deepcopy(name: str, options: dict[str, object], backbone: str) -> None:
    method = perturbed(tiny_method(name, 2, options, backbone=backbone)).eval()
    other = tiny_method(name, 2, options, backbone=backbone, seed=1).double().eval()
    other.load_state_dict(method.state_dict())
    names = [t.name for t in method.tasks]
    for twin in (other, copy.deepcopy(method)):
        for task, output in twin(images(), names).items():
            assert torch.equal(output, method(images(), names)[task])


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_one_task_alone(name: str, options: dict[str, object]) -> None:
    method = tiny_method(name, 1, options)
    out = method(images(dtype=torch.float32), ["segmentation"])["segmentation"]
    assert out.shape[:2] == (2, 4)
    assert out.isfinite().all()


@pytest.mark.parametrize(("name", "options"), VARIANTS)
def test_streams_of_their_own_have_statistics_of_their_own(name: str, options: dict[str, object]) -> None:
    """With one input stream a task, a forward pass moves that domain's batch norms alone."""
    domains = tuple(t.name for t in TASKS[:2])
    method = tiny_method(name, 2, options, streams=domains)
    before = {k: v.clone() for k, v in method.named_buffers()}
    method.build.stream = "normals"
    method(images(dtype=torch.float32), ["normals"])
    moved = {k for k, v in method.named_buffers() if not torch.equal(v, before[k])}
    assert moved
    assert all(".norms.1." in k for k in moved)


def _meta(name: str, tasks: int, backbone: str) -> Method:
    """A full-width method on the meta device without its heads."""
    with torch.device("meta"):
        method = tiny_method(name, tasks, backbone=backbone, width=1.0, shape=(3, 224, 224))
        for task in method.heads:
            method.heads[task] = nn.Identity()
    for module in method.modules():
        if isinstance(module, nn.BatchNorm2d):  # no multiply-adds there, and slow on meta
            module.forward = nn.Identity().forward
    return method


def _macs(method: Method) -> float:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        method.eval()(torch.empty(1, 3, 224, 224, device="meta"), [t.name for t in method.tasks])
    return counter.get_total_flops() / 2


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(scope="module")
def one() -> Method:
    """Hard sharing on a ResNet-34 of width 1."""
    return _meta("hard-sharing", 1, "resnet34")


@pytest.mark.parametrize(("tasks", "factor"), [(2, 2.066), (3, 3.149), (5, 5.414)])
def test_nddrs_backbone_parameters_on_resnet34(one: Method, tasks: int, factor: float) -> None:
    shared = _parameters(one)
    assert shared == pytest.approx(21.29e6, rel=1e-3)
    assert _parameters(_meta("nddr", tasks, "resnet34")) / shared == pytest.approx(factor, abs=5e-4)


def test_the_others_backbone_parameters_on_resnet34(one: Method) -> None:
    """T times one backbone's, and the units."""
    shared, tasks = _parameters(one), 3
    assert _parameters(_meta("single-task", tasks, "resnet34")) == tasks * shared
    assert _parameters(_meta("cross-stitch", tasks, "resnet34")) == tasks * shared + 4 * tasks**2
    sluice = _meta("sluice", tasks, "resnet34")
    assert _parameters(sluice.units) == 4 * (2 * tasks) ** 2 + 4 * tasks
    assert _parameters(sluice.projections) == tasks * 512 * (64 + 128 + 256)
    assert _parameters(sluice.backbones) == tasks * shared


def test_macs_on_resnet34(one: Method) -> None:
    assert _macs(one) / 1e9 == pytest.approx(18.53, abs=0.005)
    assert _macs(_meta("nddr", 5, "resnet34")) / 1e9 == pytest.approx(100.54, abs=0.01)
