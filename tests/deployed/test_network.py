"""A deployed network runs each input on its own stream, whatever ran before, and computes what it is asked for only."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mtlbench.deployed.network import DeployedNetwork
from mtlbench.errors import UnknownName
from mtlbench.method import Method
from mtlbench.tasks import Task
from tests.helpers.networks import TASKS, tiny_method

DOMAINS = (Task("photo", "classification", 4), Task("sketch", "classification", 4))
SERVED = {t.name: [t.name] for t in DOMAINS}


def images(seed: int) -> Tensor:
    return torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=["hard-sharing", "cross-stitch", "adashare"])
def method(request: pytest.FixtureRequest) -> Method:
    """Trained a little, so that the two domains' batch norms hold different statistics."""
    network = tiny_method(request.param, DOMAINS, streams=tuple(SERVED))
    with torch.no_grad():
        for seed, domain in enumerate(SERVED):
            network.build.stream = domain
            network(images(seed) * (1 + seed) + seed, (domain,))
    return network.eval()


@torch.inference_mode()
def test_each_input_runs_on_its_own_stream(method: Method) -> None:
    by_hand, x = {}, images(7)
    for domain in SERVED:
        method.build.stream = domain
        by_hand |= method(x, (domain,))
    deployed = DeployedNetwork.of(method, SERVED, (3, 32, 32))
    for left_over in SERVED:  # what ran last does not matter
        for order in (list(SERVED), list(SERVED)[::-1]):
            method.build.stream = left_over
            answers = deployed.answers(dict.fromkeys(order, x))
            assert all(torch.equal(answers[t], by_hand[t]) for t in by_hand)
            assert torch.equal(deployed.answers({order[0]: x})[order[0]], by_hand[order[0]])
    method.build.stream = "photo"
    assert not torch.allclose(method(x, ("sketch",))["sketch"], by_hand["sketch"])  # a switch forgotten


def test_what_is_not_the_networks_is_refused(method: Method) -> None:
    deployed = DeployedNetwork.of(method, SERVED, (3, 32, 32))
    with pytest.raises(UnknownName, match=r"unknown input stream 'sketsch'; did you mean 'sketch'\?"):
        deployed.answers({"sketsch": images(0)})
    with pytest.raises(UnknownName, match=r"unknown task 'sketch' \(allowed: photo\)"):
        deployed.answers({"photo": images(0)}, ["sketch"])


@torch.inference_mode()
def test_only_the_tasks_asked_for_are_computed() -> None:
    method = tiny_method("single-task", TASKS[:3]).eval()
    deployed = DeployedNetwork.of(method, {"all": [t.name for t in TASKS[:3]]}, (3, 32, 32))
    ran: list[str] = []
    for name, backbone in method.backbones.items():
        backbone.register_forward_hook(lambda *_, name=name: ran.append(name))
    answers = deployed.answers({"all": images(1)}, ["depth"])
    assert (list(answers), ran) == (["depth"], ["depth"])


def test_a_rest_in_training_restores_every_modules_own_mode() -> None:
    method = tiny_method("hard-sharing", 2).train()
    method.heads.eval()
    before = {n: m.training for n, m in method.named_modules()}
    with DeployedNetwork.of(method, {"all": ["segmentation", "normals"]}, (3, 32, 32)).resting():
        assert not any(m.training for m in method.modules())
    assert {n: m.training for n, m in method.named_modules()} == before
