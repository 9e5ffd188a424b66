"""CityScapes: exact values from every layout at every granularity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mtlbench.data.base import ALL, Batch, draw_batch
from mtlbench.data.cityscapes import CityScapes, CityScapesOptions
from mtlbench.data.disk.cityscapes_layouts import BASELINE, CATEGORIES, CLASSES_19, FOCAL
from mtlbench.data.disk.stored import MEAN, STD
from mtlbench.errors import DataError
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TEST, TRAIN, Truth

pytestmark = pytest.mark.usefixtures("own_cache")
STREET = (32, 64)


def open_set(root: Path, tasks: tuple[str, ...] | None = None, **options: object) -> CityScapes:
    return CityScapes(CityScapesOptions(**options), root, tasks)


def whole(data: CityScapes, split: str) -> Batch:
    return data.items(split, ALL, range(data.size(split, ALL)))


def pixels(batch: Batch) -> np.ndarray:
    values = batch.inputs.permute(0, 2, 3, 1).double().numpy() * np.array(STD) + np.array(MEAN)
    return np.rint(values * 255)


def assert_truth(data: CityScapes, truth: Truth, classes: int) -> None:
    assert data.tasks[0].channels == classes
    for split in ("train", "test"):
        batch = whole(data, split)
        assert np.array_equal(pixels(batch), truth.split("image", split))
        labels = disk.coarse(truth.split("segmentation", split), classes)
        assert torch.equal(batch.targets["segmentation"], torch.from_numpy(labels))
        depth = torch.from_numpy(truth.split("depth", split)).unsqueeze(1)
        torch.testing.assert_close(batch.targets["depth"], depth, atol=0, rtol=0, equal_nan=True)


@pytest.mark.parametrize("classes", [2, 7, 19])
@pytest.mark.parametrize("unit", [True, False])
def test_adashares_list_gives_back_the_truth(tmp_path: Path, classes: int, unit: bool) -> None:
    truth = Truth(classes=19)
    data = open_set(disk.cityscapes_adashare(tmp_path / "d", truth, unit), classes=classes)
    assert data.layout == "adashare"
    assert_truth(data, truth, classes)


def test_adashares_list_has_19_classes_unasked(tmp_path: Path) -> None:
    assert open_set(disk.cityscapes_adashare(tmp_path / "d", Truth(classes=19))).tasks[0].channels == 19


def test_libmtls_layout_gives_back_the_truth(tmp_path: Path) -> None:
    truth = Truth(classes=7)
    data = open_set(disk.libmtl(tmp_path / "d", truth, ("label", "depth")))
    assert data.layout == "libmtl"
    assert_truth(data, truth, 7)


def official(root: Path, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    shape = (TRAIN + TEST, *STREET)
    images = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    ids = random.integers(0, 35, shape)
    ids[ids == 34] = 255
    disparities = random.integers(0, 1 << 15, shape)
    disk.cityscapes_official(root, images, ids, disparities)
    return images, ids, disparities


def in_order(values: np.ndarray, split: str) -> np.ndarray:
    """The reader's order: by city (aachen holds the odd images), then by name."""
    indices = range(TRAIN) if split == "train" else range(TRAIN, TRAIN + TEST)
    return values[sorted(indices, key=lambda i: (i % 2 == 0, i))]


@pytest.mark.parametrize("classes", [2, 7, 19])
def test_the_official_tree_gives_back_the_truth_at_its_own_size(tmp_path: Path, classes: int) -> None:
    images, ids, disparities = official(tmp_path / "d")
    data = open_set(tmp_path / "d", classes=classes, height=STREET[0])
    assert data.layout == "official"
    assert data.tasks[1].unit == "1/m"
    table = {19: lambda c: c, 7: lambda c: CATEGORIES[c], 2: lambda c: int(c >= 11)}[classes]
    expected = np.vectorize(lambda i: table(CLASSES_19[i]) if i in CLASSES_19 else -1)(ids)
    inverse = np.where(disparities <= 1, np.nan, (disparities - 1) / 256 / (FOCAL * BASELINE))
    for split in ("train", "test"):
        batch = whole(data, split)
        assert np.array_equal(pixels(batch), in_order(images, split))
        assert torch.equal(batch.targets["segmentation"], torch.from_numpy(in_order(expected, split)))
        depth = torch.from_numpy(in_order(inverse, split)).float().unsqueeze(1)
        torch.testing.assert_close(batch.targets["depth"], depth, equal_nan=True)


def test_the_official_classes_are_torchvisions() -> None:
    from mtlbench.backbones.vision import torchvision

    known = torchvision.datasets.Cityscapes.classes
    evaluated = {c.id: c for c in known if not c.ignore_in_eval}
    assert {i: c.train_id for i, c in evaluated.items()} == CLASSES_19
    categories = {c.train_id: c.category_id - 1 for c in evaluated.values()}
    assert tuple(categories[i] for i in range(19)) == CATEGORIES
    foreground = {c.train_id for c in evaluated.values() if c.category in ("human", "vehicle")}
    assert foreground == set(range(11, 19))


def test_official_images_are_reduced_by_areas_and_labels_by_nearest_pixels(tmp_path: Path) -> None:
    images, ids, disparities = official(tmp_path / "d")
    tall = [np.repeat(np.repeat(v, 2, 1), 2, 2) for v in (images, ids, disparities)]
    disk.cityscapes_official(tmp_path / "tall", *tall)
    small = open_set(tmp_path / "d", height=STREET[0])
    reduced = open_set(tmp_path / "tall", height=STREET[0])
    for split in ("train", "test"):
        one, two = whole(small, split), whole(reduced, split)
        assert torch.equal(one.inputs, two.inputs)
        assert torch.equal(one.targets["segmentation"], two.targets["segmentation"])
        torch.testing.assert_close(one.targets["depth"], two.targets["depth"], atol=0, rtol=0, equal_nan=True)


def test_zooming_in_makes_inverse_depth_larger(tmp_path: Path) -> None:
    truth = Truth(classes=19)
    truth.fields["depth"][:] = 0.25
    root = disk.cityscapes_adashare(tmp_path / "d", truth)
    data = open_set(root, zoom_min=2.0, zoom_max=2.0)
    depth = draw_batch(data, 0, "train", ALL, 0, 4).targets["depth"]
    assert torch.equal(depth, torch.full_like(depth, 0.5))


def test_the_papers_crop_and_weights(tmp_path: Path) -> None:
    data = open_set(disk.cityscapes_adashare(tmp_path / "d", Truth((232, 240), 19, TRAIN + 1)), ("depth",))
    assert data.shape == (3, 224, 224)
    assert data.weights == {"depth": 1.0}


def test_a_folder_of_no_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no layout of CityScapes \(expected: cityscape.json, or train/ and val/"):
        open_set(tmp_path)
