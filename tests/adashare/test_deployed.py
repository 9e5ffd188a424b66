"""What is shipped: only what some task executes, with the trained network's outputs and the published costs."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from adashare.network import CompactNetwork, Skipped
from adashare.presets import PROFILED
from tests.helpers.networks import images, tiny_build, tiny_method

POLICY = "10110010,11010010,11110010"  # blocks 5 and 6 (of 1..8) and the last are executed by nobody
NAMES = ["segmentation", "normals", "depth"]
GIGA = {  # backbone MACs at 224x224: every task its own pass, prefixes shared, T networks
    "nyuv2-2": (18.48, 18.12, 19.71),
    "cityscapes": (33.35, 32.75, 37.06),
    "nyuv2-3": (50.13, 47.33, 55.59),
    "taskonomy": (87.75, 81.06, 92.64),
}


def trained() -> nn.Module:
    """A method with batch-norm statistics that differ from the initial ones, in eval."""
    method = tiny_method("adashare", 3, {"policy": POLICY})
    for step in range(3):
        method(images(seed=step, dtype=torch.float32), NAMES)
    return method.eval()


def test_output_equals_the_trained_networks_for_any_tasks() -> None:
    method, x = trained(), images(dtype=torch.float32)
    deployed = method.deployed().eval()
    whole = method(x, NAMES)
    for tasks in (NAMES, ["depth"], ["normals", "segmentation"]):
        outputs = deployed(x, tasks)
        assert list(outputs) == tasks
        assert all(torch.equal(outputs[t], whole[t]) for t in tasks)


def test_holds_only_what_some_task_executes() -> None:
    method = trained()
    deployed = method.deployed()
    assert [isinstance(block, Skipped) for block in deployed.blocks] == [c == "0" for c in "11110010"]
    unused = [
        b for block, c in zip(method.backbone.blocks, "11110010", strict=True) if c == "0" for b in [block.branch]
    ]
    gone = sum(p.numel() for branch in unused for p in branch.parameters())
    policy = method.policy.logits.numel()
    assert count(deployed) == count(method) - gone - policy
    assert count(deployed.blocks[4]) == count(method.backbone.blocks[4].projection) > 0


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_survives_copying_and_files(tmp_path: Path) -> None:
    method, x = trained(), images(dtype=torch.float32)
    deployed = method.deployed().eval()
    clone = copy.deepcopy(deployed)
    save_file(deployed.state_dict(), tmp_path / "model.safetensors")
    other = tiny_method("adashare", 3, {"policy": POLICY}, seed=7).deployed().eval()
    other.load_state_dict(load_file(tmp_path / "model.safetensors"))
    expected = deployed(x, NAMES)
    for network in (clone, other):
        assert all(torch.equal(network(x, NAMES)[t], expected[t]) for t in NAMES)


def test_policy_survives_the_state_dict() -> None:
    method = tiny_method("random-policy", 3, {"skip": 0.4}, seed=1)
    other = tiny_method("random-policy", 3, {"skip": 0.4}, seed=2)
    assert not torch.equal(method.decided, other.decided)
    other.deployed()  # what was read before must not outlive the loading
    other.load_state_dict(method.state_dict())
    assert other.deployed().policy == method.deployed().policy


@pytest.mark.parametrize("setting", GIGA)
def test_macs_of_the_published_policies(setting: str) -> None:
    name, text = PROFILED[setting]
    own_pass, shared, networks = GIGA[setting]
    with torch.device("meta"):
        backbone = tiny_build(name, width=1.0, shape=(3, 224, 224)).backbone()
    policy = {f"t{k}": [c == "1" for c in row] for k, row in enumerate(text.split(","))}
    network = CompactNetwork(
        backbone.stem, backbone.blocks, nn.ModuleDict({t: nn.Identity() for t in policy}), policy
    ).eval()
    assert sum(giga_macs(network, [task]) for task in policy) == pytest.approx(own_pass, abs=0.0051)
    assert giga_macs(network, list(policy)) == pytest.approx(shared, abs=0.0051)
    everything = {t: [True] * len(row) for t, row in policy.items()}
    whole = CompactNetwork(backbone.stem, backbone.blocks, network.heads, everything).eval()
    assert len(policy) * giga_macs(whole, ["t0"]) == pytest.approx(networks, abs=0.0051)
    assert giga_macs(whole, list(policy)) == giga_macs(whole, ["t0"])  # hard sharing


def giga_macs(network: nn.Module, tasks: list[str]) -> float:
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, 3, 224, 224, device="meta"), tasks)
    return counter.get_total_flops() / 2e9
