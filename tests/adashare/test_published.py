"""`--preset paper`: every published constant of AdaShare's experiments, as the plain command resolves them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from adashare.method import AdaShare
from adashare.presets import ASSUMED, PUBLISHED
from mtlbench import plugins
from mtlbench.backbones import Architecture, Build
from mtlbench.config import RunConfig
from mtlbench.method import Budget, Method, Turn
from mtlbench.plugins import load
from mtlbench.study.settings import gather
from mtlbench.study.study import ResolvedStudy, request, resolve
from mtlbench.tasks import Task
from mtlbench.training.optimisers import TurnOptimizer
from mtlbench.training.plan import make_plan, resolve_phases
from mtlbench.training.weighting import Weighting
from tests.helpers import layouts_on_disk as disk
from tests.helpers.networks import tiny_build


class Row(NamedTuple):
    """An experiment in numbers."""

    backbone: str
    batch: int
    weights: tuple[float, ...]
    sparsity: float
    sharing: float
    heads: float
    rest: float
    every: int
    factor: float
    phases: tuple[int, int, int]
    speed: float
    turns: object


# The release's configuration of each experiment (its yamls/), which the paper's section 4.1 and supplement print in part.
# weights: lambda_k in the order segmentation, normals, depth, keypoints, edges. Steps: warm-up, policy, retraining; DomainNet's
# are not published, and NYUv2's are assumed.
TABLE = {
    "nyuv2-2": Row("resnet18", 16, (1, 20), 0.05, 0.05, 1e-3, 1e-3, 4000, 0.5, (4000, 16000, 20000), 3, "epoch"),
    "nyuv2-3": Row("resnet34", 16, (1, 20, 3), 0.001, 0.05, 1e-3, 1e-3, 4000, 0.5, (4000, 16000, 20000), 3, "epoch"),
    "cityscapes": Row("resnet34", 16, (1, 20), 0.01, 0.1, 1e-4, 1e-3, 4000, 0.5, (4000, 16000, 20000), 3, "epoch"),
    "taskonomy": Row(
        "resnet34", 16, (1, 3, 2, 7, 7), 0.001, 0.005, 1e-4, 1e-4, 12000, 0.3, (20000, 80000, 30000), 1, [400, 100]
    ),
    "domainnet": Row("resnet34", 32, (1, 1), 0.01, 0.1, 1e-3, 1e-5, 2000, 0.3, (4000, 16000, 20000), 1, [400, 100]),
}  # fmt: skip
MADE: dict[tuple[int, str], Method] = {}
TASKS = {"nyuv2-2": "segmentation,normals"}
COMPARED = "single-task,hard-sharing,random-policy,shuffled-policy,stochastic-depth,adashare"


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ResolvedStudy]:
    """`mtlbench run --preset paper` on each data set with published phases, resolved; nothing but a folder is named."""
    root = tmp_path_factory.mktemp("data")
    disk.nyuv2_adashare(root / "nyuv2", disk.Truth())
    disk.cityscapes_adashare(root / "cityscapes", disk.Truth(classes=19))
    disk.taskonomy(root / "taskonomy", disk.TaskonomyTruth())
    disk.domains(root / "domainnet")

    def study(name: str) -> ResolvedStudy:
        dataset = name.partition("-")[0]
        flags = {"methods": COMPARED, "dataset": dataset, "data_dir": str(root / dataset), "preset": "paper"}
        return resolve(gather({**flags, "tasks": TASKS.get(name), "device": "cpu"}))

    return {name: study(name) for name in TABLE}


def config(study: ResolvedStudy, method: str) -> RunConfig:
    """The configuration of the study's run of a method."""
    (entry,) = (e for e in study.entries if e.name == method)
    return request(study, entry, 0).config


def network(study: ResolvedStudy, method: str) -> Method:
    """The method on a tiny backbone: what it declares depends on no width. Made once."""
    if (id(study), method) not in MADE:
        cls = plugins.load("methods", method)
        options = cls.Options(**config(study, method).options)
        MADE[id(study), method] = cls(options, tiny_build("resnet18", 0.03125), study.dataset.tasks)
    return MADE[id(study), method]


def phases(study: ResolvedStudy, method: str, epoch: int = 40) -> list[Any]:
    """The method's phases under the study's budget."""
    c = config(study, method)
    budget = Budget(c.steps, {"train": 5 * epoch, "train-a": 4 * epoch, "train-b": epoch})
    return list(resolve_phases(network(study, method).phases, budget, c.budget == "final"))


def rates(study: ResolvedStudy, method: str, turn: Turn, steps: int, at: int) -> dict[str, float]:
    """The learning rate of heads and of the rest at a step of a turn."""
    net = network(study, method)
    optimizer = TurnOptimizer(turn, net, Weighting(study.dataset.tasks, study.dataset.weights), config(study, method))
    segment = make_plan([p for p in phases(study, method) if turn in p.turns][:1])[0]
    optimizer.set_rate(replace(segment, start=0, turn_step=0, turn_steps=steps), at)
    names = {id(p): n for n, p in net.named_parameters()}
    found = {}
    for group in optimizer.torch.param_groups:
        for parameter in group["params"]:
            found["heads" if names[id(parameter)].startswith("heads") else "rest"] = group["lr"]
    return found


@pytest.mark.parametrize("name", TABLE)
def test_every_published_constant(studies: dict[str, ResolvedStudy], name: str) -> None:
    row, study = TABLE[name], studies[name]
    c = config(study, "adashare")
    assert (c.backbone, c.width, c.batch_size) == (row.backbone, 1.0, row.batch)
    assert tuple({**study.dataset.weights, **c.weights}.values()) == row.weights
    options = c.options
    assert (options["lambda_sparsity"], options["lambda_sharing"]) == (row.sparsity, row.sharing)
    assert (options["speed"], options["turns"]) == (row.speed, row.turns)
    assert (options["temperature"], options["decay"], options["logits_lr"]) == (5.0, 0.965, 0.01)
    assert (options["objective"], options["logits_weight_decay"], options["bn"]) == ("release", None, "release")
    assert (c.optimizer, c.betas, c.weight_decay, c.warmup) == ("adam", (0.5, 0.999), 1e-4, 0.0)
    assert c.init == "normal"
    if name != "domainnet":
        assert (c.head, c.dropout) == (1024, 0.5)
    assert study.dataset.shape == {"domainnet": (3, 224, 224)}.get(name, study.dataset.shape)


@pytest.mark.parametrize(("name", "crop"), [("nyuv2", 321), ("cityscapes", 224), ("taskonomy", 224)])
def test_published_crops(name: str, crop: int) -> None:
    assert load("datasets", name).paper_crop == crop


@pytest.mark.parametrize("name", TABLE)
def test_the_plain_command_runs_the_published_phases(studies: dict[str, ResolvedStudy], name: str) -> None:
    warmup, search, final = phases(studies[name], "adashare")
    assert (warmup.steps, search.steps, final.steps) == TABLE[name].phases
    assert (warmup.turns[0].part, final.turns[0].part) == ("train-a", "train")
    turns = [400, 100] if TABLE[name].turns != "epoch" else [160, 40]
    assert [(t.part, t.steps) for t in search.turns] == list(zip(["train-a", "train-b"], turns, strict=True))
    assert final.fresh == ("backbone", "heads")


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("method", COMPARED.split(",")[:-1])
def test_every_method_trains_as_adashare_retrains(studies: dict[str, ResolvedStudy], name: str, method: str) -> None:
    last, retraining = phases(studies[name], method)[-1], phases(studies[name], "adashare")[-1]
    assert last.steps == retraining.steps
    assert [t.optimizer for t in last.turns] == [t.optimizer for t in retraining.turns]
    own = rates(studies[name], method, last.turns[0], last.steps, TABLE[name].every)
    assert own == rates(studies[name], "adashare", retraining.turns[0], last.steps, TABLE[name].every)


@pytest.mark.parametrize("name", TABLE)
def test_rates_and_optimisers_of_the_three_phases(studies: dict[str, ResolvedStudy], name: str) -> None:
    row, study = TABLE[name], studies[name]
    warmup, search, final = phases(study, "adashare")
    fallen = {"heads": row.heads * row.factor, "rest": row.rest * (1 if name == "domainnet" else row.factor)}
    for phase in (warmup, final):  # Taskonomy's rate falls inside the warm-up too
        for at in range(row.every - 1, min(phase.steps, row.every + 1)):
            wanted = {"heads": row.heads, "rest": row.rest} if at < row.every else fallen
            assert rates(study, "adashare", phase.turns[0], phase.steps, at) == pytest.approx(wanted)
    weights, logits = search.turns
    at = row.every
    wanted = fallen if name == "domainnet" else {"heads": row.heads, "rest": row.rest}
    assert rates(study, "adashare", weights, 12800, at) == pytest.approx(wanted)
    net = network(study, "adashare")
    made = [
        TurnOptimizer(t, net, Weighting(study.dataset.tasks, {}), config(study, "adashare")).torch
        for t in (warmup.turns[0], weights, logits)
    ]
    kinds = [torch.optim.Adam, torch.optim.Adam if name == "domainnet" else torch.optim.SGD, torch.optim.Adam]
    assert [type(m) for m in made] == kinds
    assert [m.defaults.get("betas") for m in (made[0], made[2])] == [(0.5, 0.999), (0.9, 0.999)]
    assert all(g.get("momentum", 0.9) == 0.9 for g in made[1].param_groups)
    decays = [{g["weight_decay"] for g in m.param_groups} for m in made]
    assert decays == [{1e-4}, {1e-4}, {5e-4}]
    assert [g["lr"] for g in made[2].param_groups] == [0.01]


def test_steps_that_are_not_published_are_said_to_be_assumed(studies: dict[str, ResolvedStudy]) -> None:
    """DomainNet's: NYUv2's phases, by a name and a sentence of their own, and --steps moves all three in proportion."""
    page = (Path(__file__).parents[2] / "docs/methods/adashare.md").read_text()
    assert "| DomainNet, ResNet-34 | 4,000 + 16,000 + 20,000 * |" in page
    assert "Neither the paper nor what is known here of the release gives DomainNet's numbers of steps" in page
    own = {k: PUBLISHED["domainnet"][k] for k in ASSUMED}
    assert own == ASSUMED == {k: PUBLISHED["nyuv2-3"][k] for k in ASSUMED}
    short = config(studies["domainnet"], "adashare").model_copy(update={"steps": 200})
    budget = Budget(short.steps, {"train": 200, "train-a": 160, "train-b": 40})
    found = resolve_phases(network(studies["domainnet"], "adashare").phases, budget, True)
    assert [p.steps for p in found] == [40, 160, 200]


def test_only_published_experiments_have_published_options() -> None:
    assert AdaShare.defaults("quick", "nyuv2", ["segmentation"]) == {}
    assert AdaShare.defaults("paper", "scenes", ["segmentation"]) == {}
    assert load("methods", "random-policy").defaults("paper", "nyuv2", ["a"]) == {"bn": "release"}
    assert load("methods", "random-policy").defaults("paper", "scenes", ["a"]) == {}


def test_heads_keep_torchs_initialisation_and_the_backbone_is_normal() -> None:
    build = Build(Architecture(init="normal", width=0.5), load("backbones", "resnet18"), seed=0)
    head = build.head(Task("depth", "depth", 1), 256)
    for convolution in (m for m in head.modules() if isinstance(m, torch.nn.Conv2d)):
        bound = convolution.weight[0].numel() ** -0.5  # U(-b, b) of weights and biases, b = 1 / sqrt(fan-in)
        assert convolution.weight.abs().max() <= bound
        assert float(convolution.weight.detach().std()) == pytest.approx(bound / 3**0.5, rel=0.15)
        assert convolution.bias is not None and convolution.bias.abs().max() <= bound
        assert convolution.bias.abs().max() > 0
    weights = [m.weight for m in build.backbone().modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(float(w.detach().std()) == pytest.approx(0.01, rel=0.1) for w in weights)
