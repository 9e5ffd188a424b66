"""Gradient aggregators: torchjd's value on what tasks share, every task's own gradient elsewhere, penalties as they are."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn

from mtlbench.errors import ConfigError
from mtlbench.runs import runner
from mtlbench.tasks import Task
from mtlbench.training.weighting import make_weighting
from tests.runs.test_runner import DOMAINS, request
from tests.study.test_study import make

aggregation = pytest.importorskip("torchjd.aggregation")
TASKS = tuple(Task(n, "edges", 1) for n in "abc")
HERE = {"pcgrad": "PCGrad", "mgda": "MGDA", "imtl-g": "IMTLG", "aligned-mtl": "AlignedMTL"}
SOLVERS = {"upgrad": ("UPGrad", {}, "quadprog"), "cagrad": ("CAGrad", {"c": 0.4}, "cvxpy"),
           "nash-mtl": ("NashMTL", {"n_tasks": 3}, "ecos")}  # fmt: skip


def toy():
    """A trunk that all tasks reach, a bridge that two do, a head each, and a spare that nobody does."""
    torch.manual_seed(0)
    make = lambda *shape: nn.Parameter(torch.randn(*shape, dtype=torch.float64))  # noqa: E731
    p = {"trunk": make(4, 5), "bridge": make(5, 5), **{f"head {t}": make(5, 1) for t in "abc"}, "spare": make(2)}
    x = torch.randn(3, 4, dtype=torch.float64)

    def losses():
        features = torch.tanh(x @ p["trunk"])
        deep = torch.tanh(features @ p["bridge"])
        seen = {"a": deep, "b": deep, "c": features}
        return {t: (seen[t] @ p[f"head {t}"]).square().flatten() for t in "abc"}  # (B,) each

    return p, losses


def librarys(name):
    """The library's own aggregator; a skip where its solver is not installed."""
    known, options, solver = SOLVERS.get(name, (HERE.get(name), {}, "torchjd"))
    pytest.importorskip(solver)
    return getattr(aggregation, known)(**options)


@pytest.mark.parametrize("name", [*HERE, *SOLVERS])
@pytest.mark.parametrize("penalty", [0.0, 0.3])
@pytest.mark.filterwarnings("ignore:.*not DPP")
def test_the_shared_gradient_is_the_librarys(name, penalty):
    made = librarys(name)
    p, losses = toy()
    each = {t: own.sum() for t, own in losses().items()}
    shared = [p["trunk"], p["bridge"]]
    rows = [torch.autograd.grad(v, shared, retain_graph=True, allow_unused=True) for v in each.values()]
    jacobian = torch.stack(
        [
            torch.cat([(torch.zeros_like(q) if g is None else g).flatten() for g, q in zip(r, shared, strict=True)])
            for r in rows
        ]
    )
    torch.manual_seed(5)
    expected = made(jacobian)

    weighting = make_weighting(name, TASKS, {})
    weighted = weighting.weighted(losses())
    extra = penalty * (p["bridge"].square().sum() + p["spare"].sum())
    torch.manual_seed(5)
    weighting.backward(sum(v.sum() for v in weighted.values()) + extra, weighted, list(p.values()), penalty > 0)
    found = torch.cat([p["trunk"].grad.flatten(), (p["bridge"].grad - 2 * penalty * p["bridge"]).detach().flatten()])
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)
    for t in "abc":
        (own,) = torch.autograd.grad(losses()[t].sum(), p[f"head {t}"])
        torch.testing.assert_close(p[f"head {t}"].grad, own, rtol=1e-12, atol=1e-13)
    assert p["spare"].grad is None if penalty == 0 else p["spare"].grad.tolist() == pytest.approx([penalty] * 2)


def test_the_plain_weighting_is_the_sum():
    p, losses = toy()
    weighted = make_weighting("equal", TASKS, {}).weighted(losses())
    make_weighting("equal", TASKS, {}).backward(
        sum(v.sum() for v in weighted.values()), weighted, list(p.values()), False
    )
    (expected,) = torch.autograd.grad(sum(v.sum() for v in losses().values()), p["trunk"])
    torch.testing.assert_close(p["trunk"].grad, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("method", ["hard-sharing", "adashare", "single-task"])
def test_they_train_any_method(tmp_path, method):
    outcome = runner.execute(request(tmp_path, method=method, weighting="pcgrad", steps=6))
    assert outcome.status == "finished", outcome.reason


def test_they_train_streams(tmp_path):
    asked = request(tmp_path, dataset=DOMAINS, tasks=("art", "photo"), weighting="mgda", steps=3)
    outcome = runner.execute(asked)
    assert outcome.status == "finished", outcome.reason


@pytest.mark.parametrize("name", ["upgrad", "pcgrad", "nash-mtl"])
def test_a_missing_package_is_named_before_anything_runs(name, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(ConfigError, match=rf"--weighting {name} needs a package .* \(install mtlbench\[torchjd\]\)"):
        make(weighting=name)


def test_a_budget_of_flops_knows_no_aggregator():
    with pytest.raises(ConfigError, match="--budget compute with --weighting mgda, whose steps cost more"):
        make(weighting="mgda", budget="compute")
