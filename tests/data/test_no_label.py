"""What is no label is masked, by one rule in every reader, and `data check` counts it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mtlbench.checks import dataset_battery
from mtlbench.data import inspect
from mtlbench.data.base import ALL
from mtlbench.data.cityscapes import CityScapes
from mtlbench.data.disk.dense import pack_classes, pack_normals, unpack_unit_normals
from mtlbench.data.nyuv2 import NYUv2
from mtlbench.data.taskonomy import Taskonomy
from mtlbench.errors import DataError
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TaskonomyTruth, Truth

pytestmark = pytest.mark.usefixtures("own_cache")
GREYS = [
    127,
    128,
    (127, 128, 127),
    (128, 127, 128),
    (130, 126, 128),
    0,
    1,
    255,
    254,
]  # black and white name none either
NORMALS = {"nyuv2": "normal_mask/0000.png", "taskonomy": "normal/hanson_normal/point_0_view_0_domain_normal.png"}


def scene_set(root: Path, name: str) -> NYUv2 | Taskonomy:
    if name == "nyuv2":
        return NYUv2(NYUv2.Options(), root, ("normals",))
    return Taskonomy(Taskonomy.Options(), root, ("normals",))


@pytest.mark.parametrize("name", NORMALS)
@pytest.mark.parametrize("grey", GREYS, ids=str)
def test_a_pixel_that_names_no_direction_is_no_normal(tmp_path: Path, name: str, grey: int | tuple[int, ...]) -> None:
    write = disk.nyuv2_adashare if name == "nyuv2" else disk.taskonomy
    root = write(tmp_path / "d", Truth() if name == "nyuv2" else TaskonomyTruth())
    pixels = np.full((12, 16 if name == "nyuv2" else 12, 3), (255, 128, 128), np.uint8)  # facing right
    pixels[3, 4:7] = grey
    disk.png(root / NORMALS[name], pixels)
    target = scene_set(root, name).items("train", ALL, [0]).targets["normals"][0]
    expected = torch.zeros(pixels.shape[:2], dtype=torch.bool)
    expected[3, 4:7] = True
    assert torch.equal(target.isnan().all(0), expected)
    assert torch.equal(target.isnan().any(0), expected)


@pytest.mark.parametrize("vector", [(0, 0, 0), (0.01, -0.02, 0.03), (np.nan, 0, 1), (np.inf, 0, 0)])
def test_vectors_in_arrays_follow_the_same_rule(vector: tuple[float, ...]) -> None:
    vectors = np.zeros((2, 2, 3), np.float32)
    vectors[..., 2] = 1
    vectors[1, 0] = vector
    (target,) = unpack_unit_normals(pack_normals(Path("n.npy"), vectors)[None])
    assert target.isnan().any(0).tolist() == [[False, False], [True, False]]


@pytest.mark.parametrize("vector", [(0.5, 0.5, 0.5), (1, 1, 1), (2, 0, 0), (128, 128, 255), (0.5, 0.5, 1)])
def test_vectors_of_another_length_are_errors_still(vector: tuple[float, ...]) -> None:
    with pytest.raises(DataError, match="a normal of length"):
        pack_normals(Path("n.npy"), np.broadcast_to(np.array(vector, np.float32), (2, 2, 3)))


def test_minus_one_and_255_are_no_class_in_every_layout() -> None:
    labels = np.array([[0, -1, 255, 12]])
    assert pack_classes(Path("l.npy"), labels, 13).tolist() == [[0, 255, 255, 12]]
    with pytest.raises(DataError, match=r"label 13 .*0 to 12, or -1 or 255 where unlabelled"):
        pack_classes(Path("l.npy"), np.array([[13]]), 13)


def test_no_disparity_is_no_depth(tmp_path: Path) -> None:
    disparities = np.full((8, 16, 32), 257)
    disparities[:, 0, 0], disparities[:, 1, 1] = 0, 1  # missing, and a point infinitely far away
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 16, 32, 3), dtype=np.uint8)
    disk.cityscapes_official(tmp_path / "d", images, np.full((8, 16, 32), 7), disparities)
    depth = (
        CityScapes(CityScapes.Options(height=32), tmp_path / "d", ("depth",)).items("train", ALL, [0]).targets["depth"]
    )
    near = torch.nan_to_num(depth[0, 0, ::2, ::2], nan=-1)  # brought from 16 to 32 rows
    assert (near == -1).nonzero().tolist() == [[0, 0], [1, 1]]
    assert float(near[0, 1]) == pytest.approx(1 / (2262.52 * 0.209313), rel=1e-6)


@pytest.mark.parametrize("name", NORMALS)
def test_sets_whose_labels_are_none_here_and_there_pass_the_battery(tmp_path: Path, name: str) -> None:
    truth, other = Truth(), TaskonomyTruth()
    truth.fields["depth"][:, 0] = np.nan
    truth.fields["codes"][:, 1] = 128
    other.fields["depth_zbuffer"][:, 0] = 0
    other.fields["normal"][:, 1] = 127
    root = disk.nyuv2_adashare(tmp_path / "d", truth) if name == "nyuv2" else disk.taskonomy(tmp_path / "d", other)
    kind = NYUv2 if name == "nyuv2" else Taskonomy
    assert [f.detail for f in dataset_battery(kind(kind.Options(), root, None)) if not f.ok] == []


def test_data_check_counts_what_is_masked(tmp_path: Path) -> None:
    truth = Truth()
    truth.fields["segmentation"][:] = 3
    truth.fields["segmentation"][:, 0, :2] = -1
    truth.fields["depth"][:] = 2.5
    truth.fields["codes"][:] = (255, 128, 128)
    truth.fields["codes"][0, 0, :5] = 128
    report = inspect.check(disk.nyuv2_adashare(tmp_path / "d", truth))
    pixels = truth.fields["depth"].size
    assert report.masked == {"segmentation": f"16 of {pixels}", "normals": f"5 of {pixels}"}
    assert f"masked        segmentation 16 of {pixels}, normals 5 of {pixels}" in report.lines()
