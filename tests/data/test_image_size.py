"""Scenes at another size: images smoothed, labels looked up, depth and normals as they are; and `--image-size`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from mtlbench.data import inspect
from mtlbench.data.base import ALL
from mtlbench.data.cityscapes import CityScapes
from mtlbench.data.disk.resize import nearest, sides, smooth
from mtlbench.data.nyuv2 import NYUv2
from mtlbench.errors import ConfigError
from mtlbench.study.settings import gather
from mtlbench.study.study import open_for
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TRAIN, Truth

pytestmark = pytest.mark.usefixtures("own_cache")


def open_set(root: Path, **options: object) -> NYUv2:
    return NYUv2(NYUv2.Options(**options), root, None)


@pytest.mark.parametrize("layout", [disk.nyuv2_adashare, disk.libmtl])
def test_a_set_of_doubled_pixels_at_half_its_size_has_the_labels_of_the_small_one(
    tmp_path: Path, layout: object
) -> None:
    small, large = Truth((24, 32), classes=13), Truth((24, 32), classes=13)
    for name, values in large.fields.items():
        large.fields[name] = np.repeat(np.repeat(values, 2, 1), 2, 2)
    large.size = (48, 64)
    one = open_set(layout(tmp_path / "small", small))
    for wanted in ("24", 24, "24x32", (24, 32)):
        two = open_set(layout(tmp_path / "large", large), image_size=wanted)
        assert two.shape == one.shape == (3, 24, 32)
        for split in ("train", "test"):
            a, b = (d.items(split, ALL, range(d.size(split, ALL))) for d in (one, two))
            for task in ("segmentation", "depth", "normals"):
                torch.testing.assert_close(a.targets[task], b.targets[task], atol=1e-4, rtol=0, equal_nan=True)


def test_images_are_averaged_where_they_shrink() -> None:
    flat = np.zeros((8, 8, 3), np.uint8)
    flat[:, ::2] = 200
    assert np.abs(smooth(flat, (2, 2)).astype(int) - 100).max() <= 15  # no stripe is picked out


def test_labels_are_looked_up_at_the_centres_of_pixels() -> None:
    values = np.arange(12).reshape(3, 4)
    naive = [[values[int((i + 0.5) * 3 / 5)][int((j + 0.5) * 4 / 7)] for j in range(7)] for i in range(5)]
    assert nearest(values, (5, 7)).tolist() == naive


@pytest.mark.parametrize(
    ("wanted", "size", "given"),
    [(None, (12, 16), (12, 16)), (24, (12, 16), (24, 32)), (24, (16, 12), (32, 24)), ((20, 30), (12, 16), (20, 30)),
     (16, (480, 640), (16, 21))],
)  # fmt: skip
def test_one_number_is_the_shorter_side(wanted: object, size: tuple[int, int], given: tuple[int, int]) -> None:
    assert sides(wanted, size) == given


@pytest.mark.parametrize("value", ["0", 15, 4097, "x", "16x", "24x8", -24, 24.5, "24x24x24", (24,)])
def test_sizes_that_are_none_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        NYUv2.Options(image_size=value)


def test_a_size_unsaid_leaves_records_as_they_were() -> None:
    assert "image_size" not in NYUv2.Options().model_dump(mode="json")
    assert NYUv2.Options(**NYUv2.Options(image_size="24x32").model_dump(mode="json")).image_size == (24, 32)


def test_absent_labels_and_data_of_another_fingerprint(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    (root / "depth/0001.npy").unlink()
    data = open_set(root, image_size=24, absent="allow")
    depth = data.items("train", ALL, range(TRAIN)).targets["depth"]
    assert depth.shape == (TRAIN, 1, 24, 32)
    assert depth[1].isnan().all()
    assert not depth[0].isnan().all()
    assert data.fingerprint != open_set(root, absent="allow").fingerprint
    assert inspect.check(root).layout == "adashare, 12x16"


def test_official_street_scenes_are_read_at_no_less_than_the_size_asked_for(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (8, 64, 128, 3), dtype=np.uint8)
    disk.cityscapes_official(tmp_path / "d", images, np.full((8, 64, 128), 7), np.full((8, 64, 128), 257))
    for wanted, shape in ((64, (3, 64, 128)), ((64, 64), (3, 64, 64)), (32, (3, 32, 64))):
        data = CityScapes(CityScapes.Options(image_size=wanted), tmp_path / "d", None)
        assert data.shape == shape
    exact = CityScapes(CityScapes.Options(image_size=64), tmp_path / "d", None)
    pixels = exact.shown(exact.items("test", ALL, [0]).inputs)
    assert pixels is not None
    assert any(np.array_equal(pixels[0], image) for image in images)


def test_image_size_sets_each_image_sets_own_option(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    flags = {"dataset": "nyuv2", "data_dir": str(root), "image_size": "24x48"}
    assert open_for(gather(flags)).shape == (3, 24, 48)
    assert open_for(gather({**flags, "set": ["nyuv2.image_size=16"]})).shape == (3, 16, 21)  # what is named wins
    disk.domains(tmp_path / "e")
    assert open_for(gather({"dataset": "domains", "data_dir": str(tmp_path / "e"), "image_size": "24"})).shape == (
        3,
        24,
        24,
    )
    with pytest.raises(ConfigError, match="image_size"):
        open_for(gather({**flags, "image_size": "huge"}))
    disk.reviews(tmp_path / "f")
    with pytest.raises(ConfigError, match=r"--image-size with data set 'fdu-mtl', which has no size of images"):
        open_for(gather({"dataset": "fdu-mtl", "data_dir": str(tmp_path / "f"), "image_size": "24"}))


def test_a_crop_larger_than_the_images_is_refused(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    with pytest.raises(ConfigError, match=r"crop is 13 \(allowed: up to 12, the shorter side of the 12x16 images\)"):
        open_set(root, crop=13)
    assert open_set(root, crop=12).shape == (3, 12, 12)
    disk.domains(tmp_path / "e")
    with pytest.raises(ConfigError, match=r"crop is 65 .allowed: up to 64"):
        open_for(gather({"dataset": "domains", "data_dir": str(tmp_path / "e"), "set": ["domains.crop=65"]}))
