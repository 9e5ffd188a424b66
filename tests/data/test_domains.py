"""Domains: one stream and one task each, from lists and from trees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mtlbench.data.base import draw_batch
from mtlbench.data.disk.stored import MEAN, STD
from mtlbench.data.domains import PACS, DomainOptions, Domains, square
from mtlbench.errors import ConfigError, DataError
from tests.helpers import layouts_on_disk as disk

pytestmark = pytest.mark.usefixtures("own_cache")


def open_set(root: Path, tasks: tuple[str, ...] | None = None, **options: object) -> Domains:
    return Domains(DomainOptions(**{"size": 16, **options}), root, tasks)


def pixels(inputs: torch.Tensor) -> np.ndarray:
    return np.rint((inputs.permute(0, 2, 3, 1).double().numpy() * np.array(STD) + np.array(MEAN)) * 255)


@pytest.mark.parametrize("lists", [True, False])
def test_both_layouts_give_back_images_and_labels(tmp_path: Path, lists: bool) -> None:
    images = disk.domains(tmp_path / "d", lists=lists)
    data = open_set(tmp_path / "d")
    assert data.layout == ("lists" if lists else "tree")
    assert dict(data.streams) == {"photo": ("photo",), "sketch": ("sketch",)}
    for domain in data.streams:
        for split, kept in (("train", range(4)), ("test", [4])):
            names = [f"{domain}/class {label}/{i}.png" for label in range(3) for i in kept]
            batch = data.items(split, domain, range(len(names)))
            assert data.size(split, domain) == len(names)
            assert np.array_equal(pixels(batch.inputs), np.stack([images[n] for n in names]))
            assert batch.targets[domain].tolist() == [label for label in range(3) for _ in kept]
            assert batch.targets[domain].dtype == torch.int64


def test_classes_are_named_after_their_folders(tmp_path: Path) -> None:
    disk.domains(tmp_path / "d")
    assert open_set(tmp_path / "d").tasks[1].classes == ("class 0", "class 1", "class 2")


def test_a_domain_may_lack_classes_that_others_have(tmp_path: Path) -> None:
    disk.domains(tmp_path / "d", ("photo",), classes=3)
    disk.domains(tmp_path / "d", ("sketch",), classes=2)
    assert [t.channels for t in open_set(tmp_path / "d").tasks] == [3, 3]


def test_tasks_are_those_named_or_the_first(tmp_path: Path) -> None:
    disk.domains(tmp_path / "d", ("art", "photo", "sketch"))
    assert [t.name for t in open_set(tmp_path / "d", first=2).tasks] == ["art", "photo"]
    assert [t.name for t in open_set(tmp_path / "d", ("sketch", "art"), first=1).tasks] == ["sketch", "art"]
    with pytest.raises(ConfigError, match=r"unknown task 'sketsh'; did you mean 'sketch'\?"):
        open_set(tmp_path / "d", ("sketsh",))


def test_streams_draw_apart_and_batches_repeat(tmp_path: Path) -> None:
    disk.domains(tmp_path / "d", each=15)
    data = open_set(tmp_path / "d", crop=8)
    for stream in data.streams:
        one, two = (draw_batch(data, 0, "train-a", stream, 5, 4) for _ in range(2))
        assert one.inputs.shape == (4, *data.shape) == (4, 3, 8, 8)
        assert torch.equal(one.inputs, two.inputs)
        assert set(one.targets) == {stream}
    parts = [set(data.indices(part, "photo")) for part in ("train-a", "train-b", "val")]
    assert set.union(*parts) == set(range(data.size("train", "photo")))
    assert sum(map(len, parts)) == data.size("train", "photo")


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "LA", "1"])
def test_pictures_of_any_mode_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new("RGB", (16, 16), (255, 255, 255)).convert(mode).save(path)
    assert square(path, 16).shape == (16, 16, 3)
    assert np.array_equal(square(path, 16), np.full((16, 16, 3), 255))


def test_the_shorter_side_is_resized_and_the_centre_kept(tmp_path: Path) -> None:
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, 16:48] = 200
    wide = square(disk.png(tmp_path / "wide.png", image), 16)
    tall = square(disk.png(tmp_path / "tall.png", np.ascontiguousarray(image.transpose(1, 0, 2))), 16)
    assert np.array_equal(wide[:, 1:-1], np.full((16, 14, 3), 200))  # the filter reaches a pixel past the cut
    assert np.array_equal(tall, wide.transpose(1, 0, 2))


def test_pacs_is_a_collection_of_domains(tmp_path: Path) -> None:
    disk.domains(tmp_path / "d")
    assert PACS(DomainOptions(size=16), tmp_path / "d", None).fingerprint == open_set(tmp_path / "d").fingerprint


def test_blank_lines_of_a_list_are_nothing(tmp_path: Path) -> None:
    disk.domains(tmp_path / "d")
    listing = tmp_path / "d/photo_train.txt"
    listing.write_text("\n" + listing.read_text() + "\n\n")
    assert open_set(tmp_path / "d").size("train", "photo") == 12


def test_a_folder_without_domains_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no domain \(expected: <domain>_train.txt and <domain>_test.txt"):
        open_set(tmp_path)


def test_parts_hold_every_class_of_a_sorted_list(tmp_path: Path) -> None:
    disk.domains(tmp_path / "d", ("photo",), classes=3, each=15)
    data = open_set(tmp_path / "d", ("photo",))
    labels = data.items("train", "photo", range(data.size("train", "photo"))).targets["photo"]
    assert labels.tolist() == sorted(labels.tolist())
    own = {p: np.bincount(labels[data.indices(p, "photo")], minlength=3) for p in ("val", "train-a", "train-b")}
    assert all((n > 0).all() for n in own.values())
    assert own["val"].sum() == 4
    assert not data.neighbours
