"""What is true of the mixtures of experts: MMoE, DSelect-k's gate, CGC and PLE."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from baselines.dselect import GAMMA, Selection, selector, smooth_step
from baselines.experts import Gates, mixture
from baselines.mmoe import MMoE, Selected
from mtlbench.errors import ConfigError
from mtlbench.method import Budget
from tests.helpers.networks import TASKS, images, tiny_method

NAMES = ["segmentation", "normals", "depth"]


def pool(x: Tensor) -> Tensor:
    return x.mean((2, 3))


def stages(column: nn.Module, x: Tensor) -> Tensor:
    for stage in column.stages:
        x = stage(x)
    return x


def naive(method: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """Image by image the weighted sum of the experts, in float64 and eval mode."""

    def mixed(layer: nn.Linear, seen: Tensor, experts: list[Tensor]) -> Tensor:
        rows = []
        for b in range(len(seen)):
            scores = layer.weight @ seen[b]
            scores = torch.exp(scores - scores.max())
            rows.append(sum(s / scores.sum() * e[b] for s, e in zip(scores, experts, strict=True)))
        return torch.stack(rows)

    seen = pool(method.reads["stem"](x))
    if method.name == "mmoe":
        experts = [e(x) for e in method.experts]
        found = {t: mixed(method.gates.layers[t], seen, experts) for t in NAMES}
    elif method.name == "cgc":
        found = {}
        for t in NAMES:
            experts = [*(e(x) for e in method.own[t]), *(e(x) for e in method.shared)]
            found[t] = mixed(method.gates.layers[t], seen, experts)
    else:
        inputs = dict.fromkeys((*NAMES, "_shared"))
        for level, gates in enumerate(method.gates):
            own = {t: [e.stages[level](e.stem(x) if level == 0 else inputs[t]) for e in method.own[t]] for t in NAMES}
            shared = [e.stages[level](e.stem(x) if level == 0 else inputs["_shared"]) for e in method.shared]
            sees = {r: seen if level == 0 else pool(inputs[r]) for r in inputs}
            new = {t: mixed(gates.layers[t], sees[t], [*own[t], *shared]) for t in NAMES}
            if level < 3:
                everyone = [*(e for t in NAMES for e in own[t]), *shared]
                new["_shared"] = mixed(gates.layers["_shared"], sees["_shared"], everyone)
            inputs = new
        found = inputs
    return {t: method.heads[t](found[t]) for t in NAMES}


def disturbed(method: nn.Module) -> nn.Module:
    """Gates and weights that no test can mistake for the initial ones."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, p in method.named_parameters():
            scale = 3.0 if "layers" in name else 0.1
            p.add_(scale * torch.randn(p.shape, generator=generator, dtype=p.dtype))
    return method


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mmoe", {}),
        ("cgc", {}),
        ("cgc", {"shared_experts": 2, "task_experts": 2}),
        ("ple", {}),
        ("ple", {"shared_experts": 2, "task_experts": 2}),
    ],
)
def test_equals_the_naive_loop(name: str, options: dict[str, object]) -> None:
    method = disturbed(tiny_method(name, options=options).double()).eval()
    fast, slow = method(images(4), NAMES), naive(method, images(4))
    for task in NAMES:
        torch.testing.assert_close(fast[task], slow[task], rtol=1e-9, atol=1e-9)
    alone = method(images(4), ["depth"])
    torch.testing.assert_close(alone["depth"], fast["depth"], rtol=1e-9, atol=1e-9)


def step(method: nn.Module) -> dict[str, Tensor]:
    """A training step's outputs, and the weights after it, by their last names."""
    outputs = method(images(4), NAMES)
    method.loss({t: o.square().mean((1, 2, 3)) for t, o in outputs.items()}).backward()
    torch.optim.SGD([p for p in method.parameters() if p.grad is not None], 0.1).step()
    return outputs


SHARING = [("mmoe", {"experts": 1}), ("cgc", {"task_experts": 0}), ("ple", {"task_experts": 0})]
SINGLE = [("cgc", {"shared_experts": 0}), ("ple", {"shared_experts": 0})]


SAME = [*((n, o, "hard-sharing") for n, o in SHARING), *((n, o, "single-task") for n, o in SINGLE)]


@pytest.mark.parametrize(("name", "options", "same"), SAME)
def test_one_expert_is_hard_sharing_or_single_task(name: str, options: dict[str, object], same: str) -> None:
    """To the bit, before and after a step; buffers too."""
    method, plain = tiny_method(name, options=options).double(), tiny_method(same).double()
    for _ in range(2):
        ours, theirs = step(method), step(plain)
        assert all(torch.equal(ours[t], theirs[t]) for t in NAMES)
    kept = [v for n, v in method.state_dict().items() if "usage" not in n]
    wanted = sorted(float(v.double().sum()) for v in plain.state_dict().values())
    assert sorted(float(v.double().sum()) for v in kept) == wanted


def test_shared_experts_alone_are_mmoe() -> None:
    cgc, mmoe = (
        tiny_method("cgc", options={"shared_experts": 3, "task_experts": 0}),
        tiny_method("mmoe", options={"experts": 3}),
    )
    ours, theirs = (m.double().eval()(images(), NAMES) for m in (cgc, mmoe))
    assert all(torch.equal(ours[t], theirs[t]) for t in NAMES)


def one_hot(gates: nn.Module, places: Mapping[str, int]) -> None:
    """Gates that give everything to one expert: pooled features of a stem are not negative, and not all 0."""
    with torch.no_grad():
        for reader, place in places.items():
            gates.layers[reader].weight.fill_(-1e6)[place].fill_(1e6)


def test_one_hot_gates_are_separate_networks() -> None:
    single = tiny_method("single-task").double().eval()
    mmoe = tiny_method("mmoe", options={"experts": 3}).double().eval()
    one_hot(mmoe.gates, {t: n for n, t in enumerate(NAMES)})
    for expert, backbone in zip(mmoe.experts, disturbed(single).backbones.values(), strict=True):
        expert.load_state_dict(dict(zip(expert.state_dict(), backbone.state_dict().values(), strict=True)))
    mmoe.heads.load_state_dict(single.heads.state_dict())
    cgc, ple = (tiny_method(name).double().eval() for name in ("cgc", "ple"))
    for method in (cgc, ple):
        for gates in method.gates if method.name == "ple" else [method.gates]:
            one_hot(gates, dict.fromkeys(NAMES, 0))
        for t in NAMES:
            method.own[t][0].load_state_dict(single.backbones[t].state_dict())
        method.heads.load_state_dict(single.heads.state_dict())
    wanted = single(images(), NAMES)
    for method in (mmoe, cgc, ple):
        found = method(images(), NAMES)
        assert all(torch.equal(found[t], wanted[t]) for t in NAMES), method.name


def test_experts_that_a_task_reads_start_apart_and_tasks_start_alike() -> None:
    """Between equal experts a gate has no gradient; the first shared one starts as hard sharing's backbone."""
    hard = tiny_method("hard-sharing").backbone.stem[0].weight
    for name in ("cgc", "ple"):
        method = tiny_method(name, options={"shared_experts": 2})
        own, shared = ([e.stem[0].weight for e in m] for m in (method.own["depth"], method.shared))
        assert torch.equal(shared[0], hard)
        assert len({float(w.detach().sum()) for w in (*own, *shared)}) == 3
        assert torch.equal(own[0], method.own["normals"][0].stem[0].weight)


@pytest.mark.parametrize(("name", "ran"), [("cgc", {"depth"}), ("ple", set(NAMES)), ("mmoe", set())])
def test_only_the_experts_that_are_read_run(name: str, ran: set[str]) -> None:
    """PLE's shared experts read everybody's, but not after the last stage."""
    method = tiny_method(name)
    method(images(dtype=torch.float32), ["depth"])
    counts = {n: int(b) for n, b in method.named_buffers() if n.endswith("num_batches_tracked")}
    assert {n.split(".")[1] for n, c in counts.items() if n.startswith("own") and c} == ran
    if name == "ple":
        assert {n.split(".")[1] for n, c in counts.items() if n.startswith("own") and ".stages.3." in n and c} == {
            "depth"
        }
    if name == "mmoe":
        assert set(counts.values()) == {1}


def test_experts_from_a_stage_on_share_what_comes_before() -> None:
    method, hard = tiny_method("mmoe", options={"shared": 2, "experts": 2}), tiny_method("hard-sharing")
    assert all(
        torch.equal(a, b)
        for a, b in zip(
            method.trunk.parameters(),
            [*hard.backbone.stem.parameters(), *hard.backbone.stages[:2].parameters()],
            strict=True,
        )
    )
    method(images(dtype=torch.float32), NAMES)
    assert method.trunk[0][1].num_batches_tracked == 1
    with pytest.raises(ConfigError, match=r"mmoe\.shared is 4: the backbone has 4 stages \(allowed: fewer\)"):
        tiny_method("mmoe", options={"shared": 4})


def test_mixture_by_hand() -> None:
    experts = [torch.tensor([[1.0], [2.0]]), torch.tensor([[10.0], [20.0]])]
    assert mixture(torch.tensor([[0.25, 0.75], [1.0, 0.0]]), experts).tolist() == [[7.75], [2.0]]
    assert mixture(torch.ones(1, 1), experts[:1]) is experts[0]


def test_gates_start_near_equal_and_remember_what_they_gave() -> None:
    torch.manual_seed(0)
    gates = Gates({"a": 4, "b": 1}, 5)
    assert gates("a", torch.rand(3, 5)).sub(0.25).abs().max() < 0.02
    assert gates("b", None).tolist() == [[1.0]]
    with torch.no_grad():
        gates.layers["a"].weight.zero_()[1] = 100.0
    gates.usage("a").fill_(0.25)
    gates.train()("a", torch.ones(2, 5))
    torch.testing.assert_close(gates.usage("a"), torch.tensor([0.2375, 0.2875, 0.2375, 0.2375]))
    gates.eval()("a", torch.ones(2, 5))
    torch.testing.assert_close(gates.usage("a")[1], torch.tensor(0.2875))


# ---------------------------------------------------------------------------------------------------------- DSelect-k


def test_smooth_step_by_hand() -> None:
    t = torch.tensor([-2.0, -0.5, -0.25, 0.0, 0.25, 0.5, 2.0], dtype=torch.float64) * GAMMA
    assert smooth_step(t).tolist() == pytest.approx([0, 0, 0.15625, 0.5, 0.84375, 1, 1])
    t.requires_grad_()
    smooth_step(t).sum().backward()
    assert t.grad.tolist() == pytest.approx([0, 0, 1.125, 1.5, 1.125, 0, 0])


def test_selector_is_a_product_over_bits() -> None:
    codes = torch.tensor([[0.25, -0.25], [3.0, 3.0], [-3.0, 3.0]], dtype=torch.float64)
    s = 0.84375
    assert selector(codes)[0].tolist() == pytest.approx([(1 - s) * s, s * s, (1 - s) ** 2, s * (1 - s)])
    assert selector(codes)[1:].tolist() == [[0, 0, 0, 1], [0, 0, 1, 0]]


def test_a_certain_selection_has_k_experts_and_no_entropy() -> None:
    gate = Selection(8, 2).double()
    assert gate().sum().item() == pytest.approx(1)
    assert gate().min() > 0
    assert gate.entropy().item() == pytest.approx(2 * 3 * 0.6931, abs=0.01)
    with torch.no_grad():
        gate.codes.copy_(torch.tensor([[1.0, -1, 1], [-1, 1, 1]]))
        gate.alpha.copy_(torch.tensor([0.0, 1.0]))
    share = torch.tensor([0.0, 1.0]).softmax(0).tolist()
    assert gate().tolist() == pytest.approx([0, 0, 0, 0, 0, share[0], share[1], 0])
    gate.entropy().backward()
    assert gate.entropy() < 1e-9
    assert gate.codes.grad.isfinite().all()


def certain(method: MMoE) -> MMoE:
    """segmentation and normals select expert 0, depth 0 and 3."""
    with torch.no_grad():
        for t, codes in zip(NAMES, [[[-1.0, -1], [-1, -1]], [[-1, -1], [-1, -1]], [[-1, -1], [1, 1]]], strict=True):
            method.gates[t].codes.copy_(torch.tensor(codes))
    return method


def test_deployed_holds_only_the_selected_experts() -> None:
    method = certain(tiny_method("mmoe", options={"gate": "dselect-k", "experts": 4})).double().eval()
    deployed = method.deployed()
    assert isinstance(deployed, Selected)
    assert set(deployed.experts) == {"0", "3"}
    ours, theirs = deployed(images(), NAMES), method(images(), NAMES)
    for t in NAMES:
        torch.testing.assert_close(ours[t], theirs[t], rtol=1e-12, atol=1e-12)
    calls: list[str] = []
    for name, e in deployed.experts.items():
        e.register_forward_hook(lambda *_, n=name: calls.append(n))
    deployed(images(), ["normals"])
    assert calls == ["0"]


def test_entropy_joins_the_loss_and_training_makes_choices_certain() -> None:
    method = tiny_method("mmoe", options={"gate": "dselect-k", "experts": 4, "entropy": 0.5})
    other = copy.deepcopy(method)
    other.options = other.options.model_copy(update={"entropy": 0.0})
    losses = {t: torch.ones(2) for t in NAMES}
    wanted = 0.5 * sum(method.gates[t].entropy() for t in NAMES)
    torch.testing.assert_close(method.loss(losses) - other.loss(losses), wanted)
    adam = torch.optim.Adam(method.gates.parameters(), 0.02)
    for _ in range(60):
        adam.zero_grad()
        method.loss(losses).backward()
        adam.step()
    assert all(max(row) > 0.49 and row.count(0.0) >= 2 for row in method.table().values())


def test_gates_have_their_own_rate() -> None:
    for options, lr in (({}, 1.0), ({"gate": "dselect-k", "experts": 4}, 10.0), ({"gate_lr": 3.0}, 3.0)):
        (turn,) = tiny_method("mmoe", options=options).phases(Budget(10, {}))[0].turns
        assert (turn.groups[0].prefix, turn.groups[0].lr) == ("gates", lr)
    with pytest.raises(ConfigError, match=r"counts experts in bits: 2, 4, 8 \.\.\. of them, and not 3"):
        tiny_method("mmoe", options={"gate": "dselect-k", "experts": 3})
    with pytest.raises(ConfigError, match="both 0"):
        tiny_method("cgc", options={"shared_experts": 0, "task_experts": 0})


def test_keeps_its_gates() -> None:
    for name in ("mmoe", "cgc", "ple"):
        method = tiny_method(name)
        (artefact,) = method.artefacts()
        rows = artefact.data["weights"]
        assert set(rows) == set(NAMES)
        assert all(0 < v < 1 for v in method.log().values())


def test_texts_with_inputs_of_their_own() -> None:
    tasks = TASKS[:2]
    for name in ("mmoe", "cgc", "ple"):
        method = tiny_method(name, tasks, streams=tuple(t.name for t in tasks))
        method.build.stream = "normals"
        method(images(dtype=torch.float32), ["normals"])
        moved = {n for n, b in method.named_buffers() if n.endswith("num_batches_tracked") and b > 0}
        assert moved
        assert all(".norms.1." in n for n in moved)
