"""Costs against counts by hand, and the published figures of the backbones."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build, Head
from mtlbench.deployed.cost import measure, plain_backbone_parameters, untrained
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.method import Method
from tests.helpers.networks import TASKS, tiny_build

SINGLE, HARD = plugins.load("methods", "single-task"), plugins.load("methods", "hard-sharing")


def cost(method: type[Method], tasks: int, **architecture):
    settings = {"backbone": "resnet18", "shape": (3, 32, 32), "width": 0.0625, "head": 8, **architecture}
    maker = plugins.load("backbones", settings["backbone"])
    network = untrained(method, method.Options(), TASKS[:tasks], Architecture(**settings), maker)
    return measure(network, plain_backbone_parameters(network.build))


@pytest.mark.parametrize(("name", "millions", "gmacs"), [("resnet18", 11.18, 9.86), ("resnet34", 21.29, 18.53)])
def test_published_figures_of_the_backbones(name, millions, gmacs):
    backbone = Build(Architecture(name, (3, 224, 224)), plugins.load("backbones", name), 0).backbone().to("meta")
    with FlopCounterMode(display=False) as counter:
        features = backbone(torch.zeros(1, 3, 224, 224, device="meta"))
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(millions, abs=0.006)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmacs, abs=0.006)
    assert features.shape == (1, 512, 29, 29)


class Known(nn.Module):
    """One convolution and one head whose costs are counted by hand."""

    class Linear(Head):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(6, 5)

        def forward(self, x):
            return self.layer(x.mean((2, 3)))

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.heads = nn.ModuleDict({"a": self.Linear(), "b": self.Linear()})

    def forward(self, x, tasks):
        features = self.conv(x)
        return {t: self.heads[t](features) for t in tasks}


def test_costs_by_hand():
    deployed = DeployedNetwork(Known(), tiny_build(), (), {"all": ["a", "b"]}, (3, 8, 8))
    found = measure(deployed, plain_backbone=81)
    assert found.parameters.model_dump() == {"backbone": 162, "heads": 70, "total": 232, "ratio": 2.0}
    conv, head = 8 * 8 * 27 * 6, 6 * 5
    assert found.macs.model_dump() == {
        "backbone": conv,
        "heads": 2 * head,
        "total": conv + 2 * head,
        "each": {"a": conv + head, "b": conv + head},
        "own_pass": 2 * (conv + head),
        "backbone_own_pass": 2 * conv,
    }
    assert found.flops == 2 * found.macs.total
    assert found.uncounted == ["mean"]
    least = 4 * (232 + 3 * 64 + 6 * 64)  # weights, input and features, in bytes
    assert least <= found.peak_memory <= least + 4 * 200


def test_a_shared_pass_is_counted_once_and_separate_ones_t_times():
    hard, single = cost(HARD, 3), cost(SINGLE, 3)
    assert single.macs.backbone == 3 * hard.macs.backbone
    assert hard.macs.backbone_own_pass == single.macs.backbone_own_pass == single.macs.backbone
    assert (hard.parameters.ratio, single.parameters.ratio) == (1.0, 3.0)
    assert hard.macs.each == single.macs.each


def test_measuring_leaves_the_network_as_it_was():
    network = HARD(HARD.Options(), tiny_build(), TASKS[:2])
    before = {k: v.clone() for k, v in network.state_dict().items()}
    deployed = DeployedNetwork.of(network, {"all": ["normals"]}, (3, 32, 32))
    found = measure(deployed, plain_backbone_parameters(network.build))
    assert network.training
    assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())
    assert found.latency is None  # a figure that was taken alone compares with nothing
