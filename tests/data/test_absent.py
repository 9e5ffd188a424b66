"""Images that lack a task's label file: refused by default, and trained and evaluated without it where that is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mtlbench.config import RunConfig
from mtlbench.data.base import ALL, Batch
from mtlbench.data.cityscapes import CityScapes
from mtlbench.data.disk.dense import DenseDataset
from mtlbench.data.inspect import check
from mtlbench.data.nyuv2 import NYUv2, NYUv2Options
from mtlbench.data.taskonomy import Taskonomy
from mtlbench.deployed import network as deployment
from mtlbench.deployed.evaluation import evaluate
from mtlbench.errors import DataError
from mtlbench.records import read_run
from mtlbench.runs import runner
from mtlbench.tasks.losses import labelled, task_loss
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TaskonomyTruth, Truth

pytestmark = pytest.mark.usefixtures("own_cache")
Write = Callable[[Path], Path]


def street(root: Path) -> Path:
    """CityScapes' official tree; a split's images come city by city, 1, 3, 0, 2, 4 and 5, 7, 6."""
    random = np.random.default_rng(0)
    shape = (disk.TRAIN + disk.TEST, 8, 16)
    images = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    return disk.cityscapes_official(root, images, random.integers(0, 34, shape), random.integers(0, 999, shape))


# Data set, how it is written, and a task with two training label files of it (of five) and one of the test split's.
LAYOUTS: dict[str, tuple[type[DenseDataset], Write, str, list[str]]] = {
    "nyuv2-adashare": (
        NYUv2, lambda p: disk.nyuv2_adashare(p, Truth()), "depth",
        ["depth/0001.npy", "depth/0003.npy", "depth/0006.npy"],
    ),
    "nyuv2-adashare, normals": (
        NYUv2, lambda p: disk.nyuv2_adashare(p, Truth()), "normals",
        ["normal_mask/0001.png", "normal_mask/0003.png", "normal_mask/0006.png"],
    ),
    "nyuv2-libmtl, normals": (
        NYUv2, lambda p: disk.libmtl(p, Truth(classes=13)), "normals",
        ["train/normal/1.npy", "train/normal/3.npy", "val/normal/1.npy"],
    ),
    "nyuv2-libmtl, segmentation": (
        NYUv2, lambda p: disk.libmtl(p, Truth(classes=13)), "segmentation",
        ["train/label/1.npy", "train/label/3.npy", "val/label/1.npy"],
    ),
    "nyuv2-libmtl, depth": (
        NYUv2, lambda p: disk.libmtl(p, Truth(classes=13)), "depth",
        ["train/depth/1.npy", "train/depth/3.npy", "val/depth/1.npy"],
    ),
    "cityscapes-libmtl, depth": (
        CityScapes, lambda p: disk.libmtl(p, Truth(classes=7), ("label", "depth")), "depth",
        ["train/depth/1.npy", "train/depth/3.npy", "val/depth/1.npy"],
    ),
    **{
        f"cityscapes-official, {task}": (
            CityScapes, street, task,
            [f"{folder}/{place}/{i:06}_000019_{folder}{ending}.png"
             for place, i in (("train/aachen", 3), ("train/bonn", 2), ("val/aachen", 7))],
        )
        for task, folder, ending in (("segmentation", "gtFine", "_labelIds"), ("depth", "disparity", ""))
    },
    "cityscapes-adashare": (
        CityScapes, lambda p: disk.cityscapes_adashare(p, Truth(classes=19)), "segmentation",
        ["label_19/1.npy", "label_19/3.npy", "label_19/6.npy"],
    ),
    **{
        f"taskonomy, {task}": (
            Taskonomy, lambda p: disk.taskonomy(p, TaskonomyTruth()), task,
            [f"{domain}/{building}_{domain}/point_{i}_view_0_domain_{domain}.png"
             for building, i in (("hanson", 1), ("hanson", 3), ("ihlen", 6))],
        )
        for task, domain in (("segmentation", "segment_semantic"), ("normals", "normal"), ("depth", "depth_zbuffer"),
                             ("keypoints", "keypoints2d"), ("edges", "edge_texture"))
    },
}  # fmt: skip
GONE = {"train": [1, 3], "test": [1]}


def opened(kind: type[DenseDataset], root: Path, tasks: tuple[str, ...] | None = None, **options: str) -> DenseDataset:
    return kind(kind.Options.model_validate(options), root, tasks)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", LAYOUTS)
def test_absent_labels_are_unlabelled_and_all_else_is_as_it_was(tmp_path: Path, name: str) -> None:
    kind, write, task, files = LAYOUTS[name]
    root = write(tmp_path / "data")
    before = opened(kind, root)
    expected = {s: before.items(s, ALL, range(before.size(s, ALL))) for s in ("train", "test")}
    kept = {file: (root / file).read_bytes() for file in files}
    for file in files:
        (root / file).unlink()
    with pytest.raises(DataError, match=rf"no such file .*--set {kind.name}\.absent=allow") as caught:
        opened(kind, root)
    assert files[0] in str(caught.value)
    data = opened(kind, root, absent="allow")
    assert data.fingerprint != before.fingerprint
    for split, gone in GONE.items():
        batch = data.items(split, ALL, range(data.size(split, ALL)))
        torch.testing.assert_close(batch.inputs, expected[split].inputs)
        for t in data.tasks:
            here, there = batch.targets[t.name], expected[split].targets[t.name]
            stay = [i for i in range(len(here)) if t.name != task or i not in gone]
            torch.testing.assert_close(here[stay], there[stay], equal_nan=True)
            if t.name == task:
                assert not labelled(t, here[gone]).any()
    others = tuple(t.name for t in data.tasks if t.name != task)
    assert opened(kind, root, others).tasks == tuple(t for t in data.tasks if t.name != task)  # nobody asked for it
    for file, content in kept.items():
        (root / file).write_bytes(content)
    assert opened(kind, root).fingerprint == before.fingerprint  # the cache noticed


def test_a_split_without_any_label_is_refused_all_the_same(tmp_path: Path) -> None:
    root = disk.libmtl(tmp_path / "data", Truth(classes=13))
    for file in (root / "val" / "depth").iterdir():
        file.unlink()
    expected = r"nor any depth of the test split .* or --tasks without depth\)"
    for absent in ("refuse", "allow"):
        with pytest.raises(DataError, match=expected):
            opened(NYUv2, root, absent=absent)
    (problem,) = check(root).problems
    assert re.search(expected, problem)
    assert "absent=allow" not in problem


def test_an_input_always_has_to_be_there(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "data", Truth())
    (root / "img/0001.png").unlink()
    with pytest.raises(DataError, match=r"no such file .expected: named in nyu_v2_3task\.json"):
        opened(NYUv2, root, absent="allow")


def test_what_lies_in_a_label_files_place_and_is_none_stays_an_error(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "data", Truth())
    file, listing = root / "depth/0001.npy", root / "nyu_v2_3task.json"
    file.unlink()
    file.mkdir()
    with pytest.raises(DataError, match=r"depth/0001\.npy': no such file \(expected: a 12x16 \.npy array"):
        opened(NYUv2, root, absent="allow")
    listing.write_text(listing.read_text().replace("depth/0001.npy", "d" * 300))  # longer than file systems allow
    with pytest.raises(DataError, match=r"ddd': File name too long"):
        opened(NYUv2, root, absent="allow")
    assert ["File name too long" in p for p in check(root).problems] == [True]


def test_allowing_makes_another_run_and_refusing_is_as_before_there_was_the_option() -> None:
    refused, allowed = (
        RunConfig(method="m", dataset="nyuv2", tasks=("depth",), steps=1, data=options.model_dump(mode="json"))
        for options in (NYUv2Options(), NYUv2Options(absent="allow"))
    )
    assert "absent" not in refused.data
    assert allowed.data == {**refused.data, "absent": "allow"}
    assert allowed.identity() != refused.identity()


def test_a_check_counts_them_and_says_what_to_do(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "data", Truth())
    for file in LAYOUTS["nyuv2-adashare"][3]:
        (root / file).unlink()
    report = check(root)
    assert len(report.problems) == 3
    assert all("--set nyuv2.absent=allow" in p for p in report.problems)
    assert "(3 of 8 items wholly)" in report.findings["depth"]
    assert "wholly" not in report.findings["segmentation"]
    assert report.fingerprint == opened(NYUv2, root, absent="allow").fingerprint  # nothing is damaged
    (root / "img/0004.png").write_bytes(b"nonsense")
    damaged = check(root)
    assert "img/0004.png" in damaged.problems[0]  # before what may be allowed
    assert damaged.problems[1:] == report.problems
    assert damaged.fingerprint is None


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_batch_in_which_no_image_has_the_label_costs_nothing(tmp_path: Path, name: str) -> None:
    kind, write, task, files = LAYOUTS[name]
    root = write(tmp_path / "data")
    for file in files:
        (root / file).unlink()
    data = opened(kind, root, absent="allow")
    batch = data.augment(data.items("train", ALL, GONE["train"]), torch.Generator().manual_seed(0))
    for t in data.tasks:
        layer = torch.nn.Conv2d(3, t.channels, 3, padding=1)
        loss = task_loss(t, layer(batch.inputs), batch.targets[t.name])
        loss.sum().backward()
        assert layer.weight.grad is not None
        assert torch.isfinite(layer.weight.grad).all()
        assert (loss.tolist() == [0.0, 0.0]) == (t.name == task)
        assert bool((layer.weight.grad == 0).all()) == (t.name == task)


def small_run(root: Path, out: Path, method: str, tasks: tuple[str, ...]) -> Path:
    """The folder of a run of six steps on a folder that may lack labels."""
    config = RunConfig(
        method=method,
        dataset="nyuv2",
        data={"absent": "allow"},
        tasks=tasks,
        steps=6,
        batch_size=2,
        width=0.0625,
        head=8,
    )
    outcome = runner.execute(runner.Request(config, method, "nyuv2", str(out), data_dir=str(root)))
    assert outcome.status == "finished", outcome.reason
    return Path(outcome.folder)


def depth_errors(network: torch.nn.Module, batch: Batch, images: list[int]) -> np.ndarray:
    """The absolute errors of the labelled pixels of these images, by hand."""
    with torch.inference_mode():
        said = network(batch.inputs, ("depth",))["depth"]
    said = torch.nn.functional.interpolate(said, size=batch.inputs.shape[2:], mode="bilinear").numpy()
    truth = batch.targets["depth"].numpy()
    return np.concatenate([np.abs(said[i] - truth[i])[np.isfinite(truth[i])] for i in images])


@pytest.mark.parametrize("method", ["hard-sharing", "cross-stitch", "adashare"])
def test_a_split_is_scored_on_the_images_that_have_the_label(tmp_path: Path, method: str) -> None:
    """Depth as on a test split of the labelled images alone, and by hand; segmentation as on the whole folder."""
    tasks = ("segmentation", "depth")
    truth = Truth(size=(32, 32), classes=13)
    truth.fields["depth"][disk.TRAIN + 1] = 9.5  # far from the others' mean: counting it would show
    root, whole, fewer = (disk.libmtl(tmp_path / name, truth) for name in ("lacking", "whole", "fewer"))
    for file in ("train/depth/1.npy", "train/depth/3.npy", "val/depth/1.npy"):
        (root / file).unlink()
    for field in ("image", "label", "depth"):
        (fewer / f"val/{field}/1.npy").unlink()
    folder = small_run(root, tmp_path / "out", method, tasks)
    final = read_run(folder).final()
    assert final is not None
    deployed = deployment.load_network(folder)
    alone, full = (evaluate(deployed, opened(NYUv2, place, tasks), "test").metrics for place in (fewer, whole))
    assert final.metrics["depth"] == pytest.approx(alone["depth"], rel=1e-4)
    assert final.metrics["segmentation"] == pytest.approx(full["segmentation"], rel=1e-4)
    batch = opened(NYUv2, whole, tasks).items("test", ALL, range(3))
    by_hand = [depth_errors(deployed.network, batch, images).mean() for images in ([0, 2], [0, 1, 2])]
    assert final.metrics["depth"]["abs_error"] == pytest.approx(by_hand[0], rel=1e-4)
    assert final.metrics["depth"]["abs_error"] != pytest.approx(by_hand[1], rel=0.01)


def test_a_part_without_any_label_has_no_score_of_the_task_and_the_run_goes_on(tmp_path: Path) -> None:
    """Two of five training images are labelled, and validation takes the middle one, which is not."""
    root = disk.libmtl(tmp_path / "data", Truth(size=(32, 32), classes=13))
    for i in (1, 2, 4):
        (root / f"train/depth/{i}.npy").unlink()
    run = read_run(small_run(root, tmp_path / "out", "hard-sharing", ("segmentation", "depth")))
    val = [line for line in run.evals if line.split == "val"]
    assert val
    assert all(line.metrics["depth"]["abs_error"] is None for line in val)
    assert all(line.metrics["segmentation"]["miou"] is not None for line in val)
    assert run.final() is not None
