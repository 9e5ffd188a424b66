"""Taskonomy: the published conventions, by hand and against float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mtlbench.data.base import ALL, draw_batch
from mtlbench.data.disk.dense import DenseOptions
from mtlbench.data.taskonomy import Taskonomy
from mtlbench.errors import DataError
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TEST, TRAIN, TaskonomyTruth

pytestmark = pytest.mark.usefixtures("own_cache")


def open_set(root: Path, tasks: tuple[str, ...] | None = None, **options: object) -> Taskonomy:
    return Taskonomy(DenseOptions(**options), root, tasks)


@pytest.mark.parametrize("listed", [False, True])
def test_both_layouts_give_back_the_truth(tmp_path: Path, listed: bool) -> None:
    truth = TaskonomyTruth()
    data = open_set(disk.taskonomy(tmp_path / "d", truth, listed))
    assert data.layout == ("adashare" if listed else "tree")
    assert [t.name for t in data.tasks] == ["segmentation", "normals", "depth", "keypoints", "edges"]
    assert (data.size("train", ALL), data.size("test", ALL)) == (TRAIN, TEST)
    for split, rows in (("train", slice(TRAIN)), ("test", slice(TRAIN, None))):
        targets = data.items(split, ALL, range(data.size(split, ALL))).targets
        values = {name: field[rows].astype(np.float64) for name, field in truth.fields.items()}
        assert np.array_equal(targets["segmentation"].numpy(), values["segment_semantic"] - 1)
        depth = np.where(values["depth_zbuffer"] >= 64500, np.nan, np.log(1 + values["depth_zbuffer"]) / np.log(2**16))
        keypoints = np.clip(values["keypoints2d"] / 2**16, 0, 0.005) / 0.005 * 2 - 1
        edges = np.clip(values["edge_texture"] / 2**16, 0, 0.08) / 0.08 * 2 - 1
        for name, expected in (("depth", depth), ("keypoints", keypoints), ("edges", edges)):
            np.testing.assert_allclose(targets[name].numpy()[:, 0], expected, atol=1e-6)
        normals = values["normal"] / 255 * 2 - 1
        length = np.linalg.norm(normals, axis=-1, keepdims=True)
        expected = np.where(length < 0.1, np.nan, normals / length).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(targets["normals"].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("task", "raw", "value"),
    [
        ("segmentation", 0, -1),
        ("segmentation", 17, 16),
        ("segmentation", 255, -1),
        ("depth", 0, np.nan),
        ("depth", 1, 1 / 16),
        ("depth", 255, 0.5),
        ("depth", 64500, np.nan),
        ("keypoints", 0, -1.0),
        ("keypoints", 65535, 1.0),
        ("edges", 0, -1.0),
        ("edges", 65535, 1.0),
    ],
)
def test_landmarks_of_the_conventions(tmp_path: Path, task: str, raw: int, value: float) -> None:
    truth = TaskonomyTruth()
    domain = {"segmentation": "segment_semantic", "depth": "depth_zbuffer"}
    name = domain.get(task, {"keypoints": "keypoints2d", "edges": "edge_texture"}.get(task, ""))
    truth.fields[name][:] = raw
    target = open_set(disk.taskonomy(tmp_path / "d", truth), (task,)).items("train", ALL, [0]).targets[task]
    expected = torch.full_like(target, value)
    torch.testing.assert_close(target, expected, equal_nan=True)


def test_zooming_divides_the_depth_inside_the_logarithm(tmp_path: Path) -> None:
    truth = TaskonomyTruth()
    truth.fields["depth_zbuffer"][:] = 1000
    data = open_set(disk.taskonomy(tmp_path / "d", truth), ("depth",), zoom_min=2.0, zoom_max=2.0)
    depth = draw_batch(data, 0, "train", ALL, 0, 4).targets["depth"]
    torch.testing.assert_close(depth, torch.full_like(depth, float(np.log(501) / np.log(2**16))))


def test_official_validation_buildings_are_left_out(tmp_path: Path) -> None:
    root = disk.taskonomy(tmp_path / "d", TaskonomyTruth())
    for place in root.glob("*/hanson_*"):
        other = place.parent / place.name.replace("hanson", "darden")
        other.mkdir()
        for path in place.iterdir():
            (other / path.name).write_bytes(path.read_bytes())
    assert open_set(root, ("depth",)).size("train", ALL) == TRAIN


def test_without_an_official_test_building_the_last_fifth_is_held_out(tmp_path: Path) -> None:
    root = disk.taskonomy(tmp_path / "d", TaskonomyTruth())
    for place in root.glob("*/ihlen_*"):
        place.rename(place.parent / place.name.replace("ihlen", "zzz"))
    data = open_set(root, ("depth",))
    assert (data.size("train", ALL), data.size("test", ALL)) == (TRAIN, TEST)


def test_one_building_alone_cannot_be_split(tmp_path: Path) -> None:
    root = disk.taskonomy(tmp_path / "d", TaskonomyTruth())
    for place in root.glob("*/ihlen_*"):
        for path in place.iterdir():
            path.unlink()
        place.rmdir()
    with pytest.raises(DataError, match=r"no view to train with \(expected: two buildings or more"):
        open_set(root)
