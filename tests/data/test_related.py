"""The synthetic tasks of the MMoE paper: the cosine that was asked for, labels as the paper writes them, a run of seconds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from mtlbench.backbones import Architecture
from mtlbench.checks import dataset_battery
from mtlbench.data.base import ALL
from mtlbench.data.related import NOISE, SINES, Related, RelatedOptions, cholesky, draw
from mtlbench.errors import ConfigError
from mtlbench.runs.runner import execute
from mtlbench.study.settings import gather
from mtlbench.study.study import resolve, runs
from tests.helpers.networks import tiny_build


def fitted(options: RelatedOptions) -> np.ndarray:
    """The tasks' weights found again from inputs and labels: by Stein's identity E[y x] is a multiple of w."""
    x, y = draw(options)
    return (x["train"].T @ y["train"] / len(x["train"])).T


@pytest.mark.parametrize("count", [2, 3, 8])
@pytest.mark.parametrize("p", [1.0, 0.7, 0.0, None])
def test_every_pair_of_tasks_has_the_cosine_asked_for(count: int, p: float | None) -> None:
    p = -1 / (count - 1) if p is None else p
    factor = cholesky(count, p)
    gram = factor @ factor.T
    np.testing.assert_allclose(gram, p + (1 - p) * np.eye(count), atol=1e-7)
    assert np.array_equal(factor, np.tril(factor))
    if p == 0.7:
        np.testing.assert_allclose(factor, np.linalg.cholesky(gram), atol=1e-12)


@pytest.mark.parametrize("p", [-1, -0.6, 0.3, 1])
def test_two_tasks_are_the_papers(p: float) -> None:
    np.testing.assert_allclose(cholesky(2, p), [[1, 0], [p, math.sqrt(1 - p * p)]], atol=1e-12)


@pytest.mark.parametrize("p", [-0.4, 0.0, 0.5, 0.9])
def test_the_labels_lean_on_weights_of_that_cosine(p: float) -> None:
    w = fitted(RelatedOptions(count=3, relatedness=p, items=200_000, inputs=8, scale=0.5))
    w /= np.linalg.norm(w, axis=1, keepdims=True)
    cosines = (w @ w.T)[np.triu_indices(3, 1)]
    np.testing.assert_allclose(cosines, p, atol=0.03)


def test_a_label_is_the_papers_sum_of_a_line_sines_and_noise() -> None:
    """Against the formula for one task, whose w.x is recovered by a grid: the residual is the noise, nothing else."""
    options = RelatedOptions(count=2, relatedness=1.0, items=50_000, inputs=8)
    _, y = draw(options)
    noise = y["train"][:, 0] - y["train"][:, 1]  # the same task but for its noise
    assert noise.std() == pytest.approx(NOISE * math.sqrt(2), rel=0.02)
    assert y["train"].var() == pytest.approx(1 + SINES / 2, rel=0.35)  # the line, and sines that do not add up


def test_labels_of_related_tasks_correlate_more() -> None:
    found = []
    for p in (0.0, 0.5, 0.9, 1.0):
        y = draw(RelatedOptions(relatedness=p, items=20_000))[1]["train"]
        found.append(np.corrcoef(y.T)[0, 1])
    assert found == sorted(found)
    assert abs(found[0]) < 0.05
    assert found[-1] > 0.99


def test_items_are_the_draws_and_classes_lie_on_both_sides_of_the_median() -> None:
    options = RelatedOptions(count=4, labels="mixed", items=101, test_items=7)
    data, (x, y) = Related(options), draw(options)
    batch = data.items("train", ALL, range(101))
    assert batch.inputs.shape == (101, 32, 1)
    np.testing.assert_allclose(batch.inputs[..., 0].numpy(), x["train"], rtol=1e-6)
    assert [t.kind for t in data.tasks] == ["regression", "classification"] * 2
    np.testing.assert_allclose(batch.targets["task3"][:, 0].numpy(), y["train"][:, 2], rtol=1e-6)
    assert int(batch.targets["task2"].sum()) == 50  # of 101, those above the median
    (only,) = Related(options, tasks=["task3"]).items("train", ALL, [5]).targets.values()
    assert torch.equal(only, batch.targets["task3"][5:6])


@pytest.mark.parametrize("labels", ["regression", "classification", "mixed"])
def test_it_keeps_the_contract_of_a_data_set(labels: str) -> None:
    data = Related(RelatedOptions(labels=labels, count=3, items=60, test_items=20))
    assert [f.detail for f in dataset_battery(data) if not f.ok] == []
    assert not data.neighbours


@pytest.mark.parametrize("change", [{"seed": 1}, {"relatedness": 0.4}, {"scale": 2.0}, {"items": 61}])
def test_every_option_is_in_the_fingerprint(change: dict[str, float]) -> None:
    assert (
        Related(RelatedOptions(items=60)).fingerprint != Related(RelatedOptions(**{"items": 60, **change})).fingerprint
    )


def test_more_tasks_than_two_cannot_all_be_opposites() -> None:
    with pytest.raises(ConfigError, match=r"relatedness is -0.6 \(allowed: -0.5 to 1 for 3 tasks\)"):
        Related(RelatedOptions(count=3, relatedness=-0.6))


@pytest.mark.parametrize("method", ["hard-sharing", "adashare", "den"])
def test_methods_run_on_vectors(tmp_path: object, method: str) -> None:
    few = ["related.items=60", "related.test_items=20"]
    flags = {"dataset": "related", "methods": method, "steps": "20", "batch_size": "8", "width": "0.0625", "set": few}
    settings = gather({**flags, "device": "cpu", "out": str(tmp_path)})
    (request,) = runs(resolve(settings))
    assert execute(request).status == "finished"


def test_a_block_is_its_layers_written_out() -> None:
    build = tiny_build("resmlp", 0.25, (5, 1))
    backbone = build.backbone().double().eval()
    assert (len(backbone.blocks), backbone.stride, set(backbone.channels)) == (8, 1, {32})
    x = torch.randn(4, 32, 1, dtype=torch.float64)
    block = backbone.blocks[3]
    first, one, _, second, two = block.branch
    hidden = torch.relu(one(torch.einsum("oi,bil->bol", first.weight[..., 0], x)))
    expected = torch.relu(x + two(torch.einsum("oi,bil->bol", second.weight[..., 0], hidden)))
    torch.testing.assert_close(block(x), expected, atol=1e-12, rtol=0)
    assert backbone(torch.randn(4, 5, 1, dtype=torch.float64)).shape == (4, 32, 1)


def test_pictures_and_texts_are_refused() -> None:
    for shape in ((3, 8, 8), (64,)):
        with pytest.raises(ConfigError, match=r"backbone resmlp on inputs of shape .*allowed: vectors, \(N, 1\)"):
            tiny_build("resmlp", 0.25, shape).backbone()
    assert Architecture("resmlp", (5, 1)).shape == (5, 1)
