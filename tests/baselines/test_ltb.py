"""What is true of Learning to Branch."""

from __future__ import annotations

import copy
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from baselines.ltb import RETRAIN, SEARCH, relaxed
from baselines.tree import Tree, likely_tree, parse_tree
from mtlbench.config import parse
from mtlbench.errors import ConfigError
from mtlbench.method import Budget, Where
from mtlbench.plugins import load
from tests.helpers.networks import TASKS, images, tiny_method

NAMES = ["segmentation", "normals", "depth"]
TREE = "00000,00011,00222"  # all share stem and stage 1; depth leaves at stage 2, normals at stage 3


def step(method: torch.nn.Module) -> dict[str, Tensor]:
    outputs = method(images(4), NAMES)
    method.loss({t: o.square().mean((1, 2, 3)) for t, o in outputs.items()}).backward()
    torch.optim.SGD([p for p in method.parameters() if p.grad is not None], 0.1).step()
    return outputs


def by_hand(method: torch.nn.Module, x: Tensor) -> dict[str, Tensor]:
    """TREE written out."""
    a, b, c = method.columns
    first = a.stages[0](a.stem(x))
    second = a.stages[1](first)
    segmentation = a.stages[3](a.stages[2](second))
    normals = b.stages[3](b.stages[2](second))
    depth = c.stages[3](c.stages[2](c.stages[1](first)))
    return {t: method.heads[t](f) for t, f in zip(NAMES, (segmentation, normals, depth), strict=True)}


def test_a_fixed_tree_is_that_tree_built_by_hand() -> None:
    """To the bit in training, batch norms and gradients too; every node runs once."""
    method = tiny_method("ltb", options={"tree": TREE}).double()
    other = copy.deepcopy(method)
    ours = method(images(4), NAMES)
    theirs = by_hand(other, images(4))
    assert all(torch.equal(ours[t], theirs[t]) for t in NAMES)
    for outputs in (ours, theirs):
        sum(o.square().mean() for o in outputs.values()).backward()
    for (name, p), q in zip(method.named_parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None:
            torch.testing.assert_close(p.grad, q.grad, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(p, q) for p, q in zip(method.buffers(), other.buffers(), strict=True))
    assert method.columns[0].stem[1].num_batches_tracked == 1
    assert method.phases(Budget(10, {}))[0].name == RETRAIN


@pytest.mark.parametrize(
    ("tree", "same"), [("00000,00000,00000", "hard-sharing"), ("00000,11111,22222", "single-task")]
)
def test_the_two_ends(tree: str, same: str) -> None:
    method, plain = tiny_method("ltb", options={"tree": tree}).double(), tiny_method(same).double()
    for column, backbone in zip(
        method.columns, getattr(plain, "backbones", {"": getattr(plain, "backbone", None)}).values(), strict=False
    ):
        column.load_state_dict(backbone.state_dict())
    for _ in range(2):
        ours, theirs = step(method), step(plain)
        assert all(torch.equal(ours[t], theirs[t]) for t in NAMES)


def test_the_first_column_and_the_heads_start_as_hard_sharings() -> None:
    method, hard = tiny_method("ltb"), tiny_method("hard-sharing")
    assert all(
        torch.equal(a, b) for a, b in zip(method.columns[0].parameters(), hard.backbone.parameters(), strict=True)
    )
    assert all(torch.equal(a, b) for a, b in zip(method.heads.parameters(), hard.heads.parameters(), strict=True))


@pytest.mark.parametrize("level", ["stage", "block"])
def test_the_search_equals_the_naive_mixture(level: str) -> None:
    method = tiny_method("ltb", options={"level": level}).double().eval()
    method.budget = Budget(100, {})
    method.train()
    for m in method.modules():  # batch statistics would tie the order of passes to the running ones
        if isinstance(m, torch.nn.BatchNorm2d):
            m.eval()
    with torch.no_grad():
        for n, c in enumerate(method.choices):
            c.copy_(torch.randn(c.shape, generator=torch.Generator().manual_seed(n)))
    method.where = Where(7, SEARCH, 3, 0)
    weights = method.weights()
    columns = [[c.stem, *(c.stages if level == "stage" else c.blocks)] for c in method.columns]
    features = [column[0](images()) for column in columns]
    for n, table in enumerate(weights[:-1], start=1):
        features = [columns[i][n](sum(table[i, j] * features[j] for j in range(3))) for i in range(3)]
    found = method(images(), NAMES)
    for k, t in enumerate(NAMES):
        wanted = method.heads[t](sum(weights[-1][k, j] * features[j] for j in range(3)))
        torch.testing.assert_close(found[t], wanted, rtol=1e-9, atol=1e-9)


def test_gumbel_softmax_prefers_by_probability_and_hardens_as_it_cools() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0]]).repeat(4000, 1)
    sample = relaxed(logits, 0.1, torch.Generator().manual_seed(0))
    torch.testing.assert_close(sample.sum(1), torch.ones(4000))
    won = (sample.argmax(1) == 0).float().mean()
    assert float(won) == pytest.approx(float(logits[0].softmax(0)[0]), abs=0.02)
    warm = relaxed(logits, 5.0, torch.Generator().manual_seed(0))
    assert sample.amax(1).mean() > 0.95 > 0.6 > warm.amax(1).mean()


def test_temperature_falls_over_the_search() -> None:
    method = tiny_method("ltb")
    method.budget = Budget(100, {})
    search, retrain = method.phases(method.budget)
    method.phases(Budget(100_000, {}))  # asked for another one: this run's temperature stays
    assert (search.name, search.steps, retrain.steps, retrain.fresh) == (SEARCH, 50, 50, ("columns", "heads"))
    assert [(t.part, t.steps, [g.prefix for g in t.groups]) for t in search.turns] == [
        ("train-a", 4, ["columns", "heads"]),
        ("train-b", 1, ["choices"]),
    ]
    assert retrain.turns[0].part == "train"
    taus = []
    for round_ in range(10):
        method.where = Where(0, SEARCH, round_)
        taus.append(method.temperature())
    assert (taus[0], taus[-1]) == (5.0, pytest.approx(0.5))
    assert all(a > b for a, b in pairwise(taus))


def test_the_most_likely_tree_is_retrained_and_shipped() -> None:
    method = tiny_method("ltb").double()
    phases = method.phases(Budget(100, {}))
    wanted = parse_tree(TREE, NAMES, 5, 3)
    with torch.no_grad():
        for path in wanted.paths.values():
            for level, (parent, node) in enumerate(pairwise(path)):
                method.choices[level][node, parent] = 2.0
        for k, path in enumerate(wanted.paths.values()):
            method.choices[-1][k, path[-1]] = 2.0
    assert method.likely() == wanted
    method.where = Where(50, RETRAIN)
    method.start(phases[1], {})
    assert method.tree() == wanted
    method.eval()
    deployed = method.deployed()
    ours = deployed(images(), NAMES)
    theirs = method(images(), NAMES)
    assert all(torch.equal(ours[t], theirs[t]) for t in NAMES)
    assert [sorted(level) for level in deployed.levels] == [["0"], ["0"], ["0", "2"], ["0", "1", "2"], ["0", "1", "2"]]
    calls = []
    for n, level in enumerate(deployed.levels):
        for name, node in level.items():
            node.register_forward_hook(lambda *_, at=(n, name): calls.append(at))
    deployed(images(), NAMES)
    assert len(calls) == len(set(calls)) == wanted.nodes == 10
    calls.clear()
    deployed(images(), ["normals"])
    assert calls == [(0, "0"), (1, "0"), (2, "0"), (3, "1"), (4, "1")]
    (artefact,) = method.artefacts()
    assert artefact.data["paths"] == {"segmentation": [0] * 5, "normals": [0, 0, 0, 1, 1], "depth": [0, 0, 2, 2, 2]}
    assert artefact.data["drawn"].splitlines() == [
        "stem: segmentation, normals, depth",
        "stage 1: segmentation, normals, depth",
        "stage 2: segmentation, normals | depth",
        "stage 3: segmentation | normals | depth",
        "stage 4: segmentation | normals | depth",
    ]


def test_a_tree_is_a_tree_whatever_the_logits() -> None:
    for seed in range(20):
        random = torch.Generator().manual_seed(seed)
        shapes = [(3, 3)] * 4 + [(4, 3)]
        tree = likely_tree([torch.randn(s, generator=random) for s in shapes], ["a", "b", "c", "d"])
        text = ",".join("".join(map(str, p)) for p in tree.paths.values())
        assert parse_tree(text, ["a", "b", "c", "d"], 5, 3) == tree
        assert tree.nodes <= 15


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ("00000,00011", r"tree '00000,00011' has 2 patterns for 3 tasks \(one a task, by commas\)"),
        ("00000,00011,0022", r"tree '0022' does not fit: 5 digits, each below 3, the node at a level"),
        ("00000,00011,00333", r"tree '00333' does not fit"),
        ("00000,00011,01111", r"node 1 of level 3 has two parents"),
    ],
)
def test_what_is_no_tree_is_refused(tree: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_method("ltb", options={"tree": tree})


def test_options_parse_from_text() -> None:
    cls = load("methods", "ltb")
    assert parse(cls.Options, {"turns": "8,2"}, "ltb").turns == (8, 2)
    with pytest.raises(ConfigError, match="turns take 1 to 1,000,000 steps"):
        parse(cls.Options, {"turns": "0,2"}, "ltb")


def test_more_tasks_than_digits_share_ten_nodes() -> None:
    tasks = [type(TASKS[0])(f"t{n}", "depth", 1) for n in range(12)]
    method = tiny_method("ltb", tasks, width=0.01)
    assert len(method.columns) == 10
    assert method.tree() == Tree({t.name: (0,) * 5 for t in tasks})
