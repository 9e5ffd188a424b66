"""What is true of the capacity controls."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from baselines.capacity import macs, nearest_width, parameters
from tests.helpers.networks import images, tiny_build, tiny_method

NAMES = ["segmentation", "normals", "depth"]


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_macs_are_torchs_count(backbone: str) -> None:
    build = tiny_build(backbone, width=0.1)
    with FlopCounterMode(display=False) as counter:
        build.backbone()(torch.zeros(2, 3, 32, 32))
    assert macs(build, 0.1) == counter.get_total_flops() / 2 / 2


def test_parameters_are_the_backbones() -> None:
    build = tiny_build(width=0.1)
    assert parameters(build, 0.2) == sum(p.numel() for p in build.backbone(width=0.2).parameters())


@pytest.mark.parametrize(("target", "expected"), [(0, 0.3), (9, 2.0), (1.0, 1.0), (1.005, 1.0078125), (1.003, 1.0)])
def test_nearest_width_on_the_grid(target: float, expected: float) -> None:
    assert nearest_width(lambda w: w, target, 0.3, 2.0) == expected


def test_sizes_on_resnet34_at_full_width() -> None:
    """METHODS: 18.53 GMAC and 21.29 M parameters at 224x224; the controls come within one step of T times and 1/T."""
    build = tiny_build("resnet34", width=1.0, shape=(3, 224, 224))
    assert macs(build, 1.0) / 1e9 == pytest.approx(18.53, abs=0.01)
    wide = nearest_width(lambda w: macs(build, w), 3 * macs(build, 1.0), 1.6, 1.9)
    assert macs(build, wide) / macs(build, 1.0) == pytest.approx(3, rel=0.01)
    assert wide == pytest.approx(3**0.5, rel=0.01)
    narrow = nearest_width(lambda w: parameters(build, w), parameters(build, 1.0) / 3, 0.5, 0.7)
    assert 3 * parameters(build, narrow) / parameters(build, 1.0) == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_wide_costs_as_much_as_the_streams(tasks: int) -> None:
    wide = tiny_method("hard-sharing-wide", tasks, width=0.125)
    (capacity,) = wide.artefacts()
    with FlopCounterMode(display=False) as counter:
        wide.backbone(images(1, dtype=torch.float32))
    ratio = counter.get_total_flops() / 2 / macs(wide.build, 0.125)
    assert capacity.data["backbone_macs_ratio"] == pytest.approx(ratio)
    assert ratio == pytest.approx(tasks, rel=0.05)
    assert wide(images(dtype=torch.float32), NAMES[:tasks]).keys() == set(NAMES[:tasks])


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_narrow_networks_have_one_backbones_parameters(tasks: int) -> None:
    narrow = tiny_method("single-task-narrow", tasks, width=0.125)
    (capacity,) = narrow.artefacts()
    one = parameters(narrow.build, 0.125)
    ratio = sum(p.numel() for p in narrow.backbones.parameters()) / one
    assert capacity.data["backbone_parameters_ratio"] == pytest.approx(ratio)
    assert ratio == pytest.approx(1, rel=0.12)  # layers change in steps of four channels
    assert narrow(images(dtype=torch.float32), NAMES[:tasks]).keys() == set(NAMES[:tasks])


def test_one_task_changes_nothing() -> None:
    plain = tiny_method("single-task", 1)(images(dtype=torch.float32), ["segmentation"])["segmentation"]
    for name in ("hard-sharing-wide", "single-task-narrow"):
        assert torch.equal(tiny_method(name, 1)(images(dtype=torch.float32), ["segmentation"])["segmentation"], plain)
