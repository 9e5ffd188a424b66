"""`data check`: what is found in each layout, and every damaged file at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mtlbench.data import inspect
from mtlbench.data.cityscapes import CityScapes
from mtlbench.data.domains import Domains
from mtlbench.data.nyuv2 import NYUv2
from mtlbench.data.taskonomy import Taskonomy
from mtlbench.data.text import FduMtl, TextFolders
from mtlbench.errors import DataError
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TaskonomyTruth, Truth

pytestmark = pytest.mark.usefixtures("own_cache")


def street(root: Path) -> Path:
    random = np.random.default_rng(0)
    shape = (disk.TRAIN + disk.TEST, 8, 16)
    images = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    return disk.cityscapes_official(root, images, random.integers(0, 34, shape), random.integers(0, 999, shape))


def folder_of_domains(root: Path, lists: bool = True) -> Path:
    disk.domains(root, lists=lists)
    return root


WRITERS: dict[str, tuple[Callable[[Path], Path], type, str, str]] = {
    "nyuv2-adashare": (lambda p: disk.nyuv2_adashare(p, Truth()), NYUv2, "nyuv2", "adashare, 12x16"),
    "nyuv2-libmtl": (lambda p: disk.libmtl(p, Truth(classes=13)), NYUv2, "nyuv2", "libmtl, 12x16"),
    "nyuv2-official": (lambda p: disk.nyuv2_matlab(p, Truth()), NYUv2, "nyuv2", "official, 12x16"),
    "cityscapes-adashare": (
        lambda p: disk.cityscapes_adashare(p, Truth(classes=19)), CityScapes, "cityscapes", "adashare, 12x16",
    ),
    "cityscapes-libmtl": (
        lambda p: disk.libmtl(p, Truth(classes=7), ("label", "depth")), CityScapes, "cityscapes", "libmtl, 12x16",
    ),
    "cityscapes-official": (street, CityScapes, "cityscapes", "official, 256x512"),
    "taskonomy-tree": (lambda p: disk.taskonomy(p, TaskonomyTruth()), Taskonomy, "taskonomy", "tree, 12x12"),
    "taskonomy-list": (lambda p: disk.taskonomy(p, TaskonomyTruth(), True), Taskonomy, "taskonomy", "adashare, 12x12"),
    "domains-lists": (folder_of_domains, Domains, "domains", "lists"),
    "domains-tree": (lambda p: folder_of_domains(p, False), Domains, "domains", "tree"),
    "fdu-mtl": (disk.reviews, FduMtl, "fdu-mtl", "fdu-mtl"),
    "text": (disk.tables, TextFolders, "text", "csv"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRITERS)
def test_every_layout_is_recognised_with_the_data_sets_own_fingerprint(tmp_path: Path, name: str) -> None:
    write, kind, dataset, layout = WRITERS[name]
    root = write(tmp_path / "d")
    report = inspect.check(root)
    assert (report.dataset, report.layout, report.problems) == (dataset, layout, [])
    data = kind(kind.Options(), root, None)
    assert report.fingerprint == data.fingerprint
    assert report.layout.split(",")[0] == data.layout
    counted = {s: {p: data.size(p, s) for p in ("train", "test")} for s in data.streams}
    assert report.counts == counted
    assert set(report.findings) == {"inputs", *(t.name for t in data.tasks)}


def test_what_is_measured_is_what_the_files_hold(tmp_path: Path) -> None:
    truth = Truth()
    truth.fields["segmentation"] = np.where(truth.fields["segmentation"] < 30, 7, -1)
    truth.fields["depth"][:] = np.where(np.arange(16) < 4, np.nan, 2.5)
    report = inspect.check(disk.nyuv2_adashare(tmp_path / "d", truth))
    void = 100 * (truth.fields["segmentation"] < 0).mean()
    found = report.findings
    expected = f"segmentation, {void:.2f} % unlabelled, 1 of 40 classes occur, most often 7 (100.0 %)"
    assert found["segmentation"] == expected
    assert found["depth"] == "depth, 25.00 % unlabelled, 2.5 to 2.5 m, mean 2.5 m"
    assert found["normals"].startswith("normals (derived from depth), ")
    text = "\n".join(report.lines())
    assert "train 5, test 3" in text
    assert "problems" in text
    assert report.fingerprint is not None
    assert report.fingerprint in text


def test_every_damaged_file_is_named_at_once(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    for name in ("img/0001.png", "seg/0002.png", "depth/0003.npy", "normal_mask/0006.png"):
        (root / name).write_bytes(b"nonsense")
    report = inspect.check(root)
    assert len(report.problems) == 4
    for name in ("img/0001.png", "seg/0002.png", "depth/0003.npy", "normal_mask/0006.png"):
        assert any(name in problem for problem in report.problems)
    assert report.fingerprint is None
    assert "fingerprint   none: damaged" in report.lines()


def test_many_problems_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    report = inspect.Report(tmp_path, "x", problems=[f"problem {i}" for i in range(30)])
    assert report.lines()[-2:] == ["  problem 19", "  and 10 more"]


def test_a_damaged_list_is_the_one_problem(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    (root / "nyu_v2_3task.json").write_text("{")
    report = inspect.check(root)
    assert report.layout == "unknown"
    assert len(report.problems) == 1
    assert "nyu_v2_3task.json': not JSON" in report.problems[0]


def test_an_empty_folder_lists_all_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no data set recognised \(expected: nyuv2: nyu_v2_3task.json.*text: <task>/"):
        inspect.check(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        inspect.check(tmp_path / "nowhere")
