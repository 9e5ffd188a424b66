"""NYUv2: exact values from every layout, one truth behind all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mtlbench.data.base import ALL, Batch, draw_batch
from mtlbench.data.disk.class_names import NYUV2
from mtlbench.data.disk.stored import MEAN, STD
from mtlbench.data.nyuv2 import NYUv2, NYUv2Options
from mtlbench.errors import ConfigError, DataError
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TEST, TRAIN, Truth

pytestmark = pytest.mark.usefixtures("own_cache")
THREE = ("segmentation", "normals", "depth")


def open_set(root: Path, tasks: tuple[str, ...] | None = None, **options: object) -> NYUv2:
    return NYUv2(NYUv2Options(**options), root, tasks)


def whole(data: NYUv2, split: str) -> Batch:
    return data.items(split, ALL, range(data.size(split, ALL)))


def inputs(images: np.ndarray) -> torch.Tensor:
    values = (images.astype(np.float64) / 255 - np.array(MEAN)) / np.array(STD)
    return torch.from_numpy(values.transpose(0, 3, 1, 2)).float()


def assert_truth(data: NYUv2, truth: Truth, tasks: tuple[str, ...] = THREE, atol: float = 1e-6) -> None:
    for split in ("train", "test"):
        batch = whole(data, split)
        torch.testing.assert_close(batch.inputs, inputs(truth.split("image", split)), atol=1e-5, rtol=0)
        assert set(batch.targets) == set(tasks)
        assert torch.equal(batch.targets["segmentation"], torch.from_numpy(truth.split("segmentation", split)))
        depth = torch.from_numpy(truth.split("depth", split)).unsqueeze(1)
        torch.testing.assert_close(batch.targets["depth"], depth, atol=0, rtol=0, equal_nan=True)
        if "normals" in tasks:
            normals = torch.from_numpy(truth.split("normals", split)).permute(0, 3, 1, 2)
            torch.testing.assert_close(batch.targets["normals"], normals, atol=atol, rtol=0, equal_nan=True)


def test_adashares_layout_gives_back_the_truth(tmp_path: Path) -> None:
    truth = Truth()
    data = open_set(disk.nyuv2_adashare(tmp_path / "d", truth))
    assert data.layout == "adashare"
    assert [t.channels for t in data.tasks] == [40, 3, 1]
    assert_truth(data, truth)


def test_libmtls_layout_gives_back_the_truth(tmp_path: Path) -> None:
    truth = Truth(classes=13)
    data = open_set(disk.libmtl(tmp_path / "d", truth))
    assert data.layout == "libmtl"
    assert [t.channels for t in data.tasks] == [13, 3, 1]
    assert_truth(data, truth, atol=1e-4)  # normals are kept in 16 bits


def test_the_official_file_gives_back_the_truth(tmp_path: Path) -> None:
    truth = Truth()
    data = open_set(disk.nyuv2_matlab(tmp_path / "d", truth))
    assert data.layout == "official"
    assert_truth(data, truth, ("segmentation", "depth"))


def test_the_official_file_is_read_in_matlabs_transposed_order(tmp_path: Path) -> None:
    import h5py
    from scipy.io import savemat

    # MATLAB writes images (H, W, 3, N) column by column, which HDF5 shows as (N, 3, W, H).
    root = tmp_path / "d"
    root.mkdir()
    height, width = 2, 3
    image = np.arange(height * width * 3, dtype=np.uint8).reshape(height, width, 3)
    depth = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)
    label = np.array([[0, 1, 2], [3, 894, 41]], np.uint16)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.stack([np.frombuffer(image.tobytes("F"), np.uint8).reshape(3, width, height)] * 2)
        file["depths"] = np.stack([np.frombuffer(depth.tobytes("F"), np.float32).reshape(width, height)] * 2)
        file["labels"] = np.stack([np.frombuffer(label.tobytes("F"), np.uint16).reshape(width, height)] * 2)
    savemat(root / "splits.mat", {"trainNdxs": np.array([[2]]), "testNdxs": np.array([[1]])})
    mapping = np.full((1, 894), 40, np.uint8)
    mapping[0, :3] = (5, 1, 0)
    savemat(root / "classMapping40.mat", {"mapClass": mapping})
    batch = whole(open_set(root), "train")
    torch.testing.assert_close(batch.inputs, inputs(image[None]), atol=1e-5, rtol=0)
    assert batch.targets["segmentation"].tolist() == [[[-1, 4, 0], [-1, 39, 39]]]
    assert batch.targets["depth"].tolist() == [[[[1, 2, 3], [4, 5, 6]]]]


def test_the_official_file_has_no_normals(tmp_path: Path) -> None:
    root = disk.nyuv2_matlab(tmp_path / "d", Truth())
    assert [t.name for t in open_set(root).tasks] == ["segmentation", "depth"]
    with pytest.raises(ConfigError, match=r"unknown task 'normals'.*allowed: depth, segmentation"):
        open_set(root, ("normals",))


def test_the_official_labels_reach_13_classes_through_the_40(tmp_path: Path) -> None:
    truth = Truth()
    data = open_set(disk.nyuv2_matlab(tmp_path / "d", truth), classes=13)
    expected = disk.coarse(truth.split("segmentation", "test"), 13)
    assert torch.equal(whole(data, "test").targets["segmentation"], torch.from_numpy(expected))


# Names only: which of the 13 classes of Couprie et al. each of Gupta et al.'s 40 belongs to
FORMED = {
    "bed": ["bed"], "books": ["books"], "ceiling": ["ceiling"], "chair": ["chair"], "floor": ["floor", "floor mat"],
    "furniture": ["cabinet", "bookshelf", "counter", "shelves", "dresser", "refrigerator", "night stand", "other furniture"],
    "picture": ["picture"], "sofa": ["sofa"], "table": ["table", "desk"], "tv": ["television"], "wall": ["wall", "door"],
    "window": ["window", "blinds", "curtain"],
}  # fmt: skip


@pytest.mark.parametrize("layout", ["adashare", "official"])
def test_13_classes_are_formed_of_the_40_by_the_standard_map(tmp_path: Path, layout: str) -> None:
    truth = Truth()
    if layout == "adashare":
        root = disk.nyuv2_adashare(tmp_path / "d", truth)
    else:
        root = disk.nyuv2_matlab(tmp_path / "d", truth)
        (root / "class13Mapping.mat").unlink()
    data = open_set(root, ("segmentation",), classes=13)
    (task,) = data.tasks
    assert task.channels == 13
    formed = {fine: coarse for coarse, members in FORMED.items() for fine in members}
    names = {-1: -1, **{i: task.classes.index(formed.get(n, "objects")) for i, n in enumerate(NYUV2[40])}}
    for split in ("train", "test"):
        expected = np.vectorize(names.get)(truth.split("segmentation", split))
        assert np.array_equal(whole(data, split).targets["segmentation"].numpy(), expected)
    assert open_set(root, ("segmentation",)).fingerprint != data.fingerprint


def test_the_same_images_in_two_layouts_give_the_same_tensors(tmp_path: Path) -> None:
    truth = Truth(classes=13)
    first = open_set(disk.nyuv2_adashare(tmp_path / "a", truth))
    second = open_set(disk.libmtl(tmp_path / "b", truth))
    third = open_set(disk.nyuv2_matlab(tmp_path / "c", truth))
    for split in ("train", "test"):
        one, two, three = whole(first, split), whole(second, split), whole(third, split)
        assert torch.equal(one.inputs, two.inputs)
        assert torch.equal(one.inputs, three.inputs)
        for task in ("segmentation", "depth"):
            torch.testing.assert_close(one.targets[task], two.targets[task], atol=0, rtol=0, equal_nan=True)
            torch.testing.assert_close(one.targets[task], three.targets[task], atol=0, rtol=0, equal_nan=True)
        normals = (batch.targets["normals"] for batch in (one, two))
        torch.testing.assert_close(*normals, atol=1e-4, rtol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("rgb", "xyz"),
    [
        ((127.5, 0, 127.5), (0, 0, -1)),  # a wall facing the camera
        ((255, 127.5, 127.5), (1, 0, 0)),  # facing right
        ((127.5, 127.5, 255), (0, 1, 0)),  # a floor
        ((255, 0, 255), (3**-0.5, 3**-0.5, -(3**-0.5))),
    ],
)
def test_png_normals_decode_red_blue_green_to_x_y_z(
    tmp_path: Path, rgb: tuple[float, ...], xyz: tuple[float, ...]
) -> None:
    truth = Truth()
    root = disk.nyuv2_adashare(tmp_path / "d", truth)
    pixels = np.broadcast_to(np.rint(np.array(rgb)).astype(np.uint8), (*truth.size, 3))
    disk.png(root / "normal_mask/0000.png", np.ascontiguousarray(pixels))
    normal = whole(open_set(root), "train").targets["normals"][0, :, 0, 0]
    assert normal.norm() == pytest.approx(1, abs=1e-6)
    assert normal.tolist() == pytest.approx(list(xyz), abs=0.006)


def test_white_normals_zero_depth_and_255_are_unlabelled(tmp_path: Path) -> None:
    truth = Truth()
    root = disk.nyuv2_adashare(tmp_path / "d", truth)
    disk.png(root / "normal_mask/0000.png", np.full((*truth.size, 3), 255, np.uint8))
    disk.png(root / "seg/0000.png", np.full(truth.size, 255, np.uint8))
    disk.npy(root / "depth/0000.npy", np.zeros(truth.size, np.float16))
    targets = open_set(root).items("train", ALL, [0]).targets
    assert targets["normals"].isnan().all()
    assert targets["depth"].isnan().all()
    assert (targets["segmentation"] == -1).all()


def test_parts_are_the_published_lists_without_validation(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    data = open_set(root, val_fraction=0.2)
    (val,) = data.indices("val", ALL)
    assert data.published_parts(ALL) is not None
    assert set(data.indices("train-b", ALL)) == {TRAIN - 1} - {val}
    assert set(data.indices("train-a", ALL)) == set(range(TRAIN - 1)) - {val}
    assert set(data.indices("train", ALL)) == set(range(TRAIN)) - {val}
    assert len(data.indices("test", ALL)) == TEST


def test_without_published_lists_the_parts_are_the_houses(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    listing = json.loads((root / "nyu_v2_3task.json").read_text())
    del listing["train1"], listing["train2"]
    disk.write_json(root / "nyu_v2_3task.json", listing)
    data = open_set(root)
    assert data.published_parts(ALL) is None
    assert len(data.indices("train-b", ALL)) == 1


def test_normals_count_as_derived_unless_the_images_have_a_published_size(tmp_path: Path) -> None:
    small = disk.nyuv2_adashare(tmp_path / "a", Truth())
    assert open_set(small).tasks[1].derived
    assert not open_set(small, derived_normals=False).tasks[1].derived
    truth = Truth(size=(480, 640), count=TRAIN + 1)
    for name in ("image", "codes"):
        truth.fields[name][:] = 0  # random pictures of this size take seconds to write
    data = open_set(disk.nyuv2_adashare(tmp_path / "b", truth), ("normals",))
    assert not data.tasks[0].derived
    assert data.shape == (3, 321, 321)


def test_tasks_are_taken_in_the_order_named_with_the_papers_weights(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    data = open_set(root, ("depth", "segmentation"))
    assert [t.name for t in data.tasks] == ["depth", "segmentation"]
    assert data.weights == {"depth": 1.0, "segmentation": 1.0}  # AdaShare's are the paper preset's
    assert set(whole(data, "train").targets) == {"depth", "segmentation"}
    assert data.preset("paper")["backbone"] == "resnet18"
    assert open_set(root).preset("paper")["backbone"] == "resnet34"


def test_fingerprints_name_the_content_and_not_the_place(tmp_path: Path) -> None:
    first = open_set(disk.nyuv2_adashare(tmp_path / "a", Truth()))
    same = open_set(disk.nyuv2_adashare(tmp_path / "b", Truth()))
    other = open_set(disk.nyuv2_adashare(tmp_path / "c", Truth(seed=1)))
    assert first.fingerprint == same.fingerprint
    assert first.fingerprint != other.fingerprint


def test_a_drawn_batch_has_the_training_shape_and_repeats(tmp_path: Path) -> None:
    data = open_set(disk.nyuv2_adashare(tmp_path / "d", Truth()), crop=8)
    batch = draw_batch(data, 0, "train", ALL, 3, 4)
    again = draw_batch(data, 0, "train", ALL, 3, 4)
    assert batch.inputs.shape == (4, *data.shape) == (4, 3, 8, 8)
    assert torch.equal(batch.inputs, again.inputs)
    assert batch.targets["normals"].shape == (4, 3, 8, 8)
    lengths = batch.targets["normals"].norm(dim=1)
    assert torch.allclose(lengths[lengths.isfinite()], torch.tensor(1.0), atol=1e-5)


def test_a_folder_of_no_layout_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no layout of NYUv2 \(expected: nyu_v2_3task.json, or train/ and val/"):
        open_set(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        open_set(tmp_path / "nowhere")
    with pytest.raises(DataError, match="needs its folder: --data-dir DIR"):
        NYUv2(NYUv2Options(), None, None)
