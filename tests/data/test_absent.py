"""Images that lack a task's label file: refused by default, and trained and evaluated without it where that is allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import layouts_on_disk as disk
import numpy as np
import pytest
import torch
from layouts_on_disk import TaskonomyTruth, Truth

from mtlbench import deployment, runner
from mtlbench.config import RunConfig
from mtlbench.data.base import ALL
from mtlbench.data.cityscapes import CityScapes, CityScapesOptions
from mtlbench.data.dense import DenseDataset
from mtlbench.data.inspect import check
from mtlbench.data.nyuv2 import NYUv2, NYUv2Options
from mtlbench.data.taskonomy import Taskonomy
from mtlbench.errors import DataError
from mtlbench.losses import labelled
from mtlbench.records import read_run

pytestmark = pytest.mark.usefixtures("own_cache")
Write = Callable[[Path], Path]

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
    with pytest.raises(DataError, match="nor any depth of the test split"):
        opened(NYUv2, root, absent="allow")


def test_an_input_always_has_to_be_there(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "data", Truth())
    (root / "img/0001.png").unlink()
    with pytest.raises(DataError, match=r"no such file .expected: named in nyu_v2_3task\.json"):
        opened(NYUv2, root, absent="allow")


def test_the_option_is_in_the_configuration_only_where_it_is_used() -> None:
    assert "absent" not in NYUv2Options().model_dump(mode="json")
    assert CityScapesOptions(absent="allow").model_dump(mode="json")["absent"] == "allow"


def test_a_check_counts_them_and_says_what_to_do(tmp_path: Path) -> None:
    root = disk.nyuv2_adashare(tmp_path / "data", Truth())
    for file in LAYOUTS["nyuv2-adashare"][3]:
        (root / file).unlink()
    report = check(root)
    assert len(report.problems) == 3
    assert all("--set nyuv2.absent=allow" in p for p in report.problems)
    assert "(3 of 8 items wholly)" in report.findings["depth"]
    assert "wholly" not in report.findings["segmentation"]


@pytest.mark.parametrize("method", ["hard-sharing", "cross-stitch", "adashare"])
def test_training_and_evaluation_leave_them_out(tmp_path: Path, method: str) -> None:
    """The recorded depth error is the mean over the labelled pixels of the images that have labels, worked out anew."""
    root = disk.libmtl(tmp_path / "data", Truth(size=(32, 32), classes=13))
    for file in ("train/depth/1.npy", "train/depth/3.npy", "val/depth/1.npy"):
        (root / file).unlink()
    data = {"absent": "allow", "mirror": False}
    tasks = ("segmentation", "depth")
    config = RunConfig(
        method=method, dataset="nyuv2", data=data, tasks=tasks, steps=6, batch_size=2, width=0.0625, head=8
    )
    outcome = runner.execute(runner.Request(config, method, "nyuv2", str(tmp_path / "out"), data_dir=str(root)))
    assert outcome.status == "finished", outcome.reason
    deployed = deployment.load(outcome.folder)
    dataset = opened(NYUv2, root, tasks, absent="allow")
    batch = dataset.items("test", ALL, range(3))
    with torch.inference_mode():
        said = deployed.network(batch.inputs, tasks)["depth"]
    said = torch.nn.functional.interpolate(said, size=(32, 32), mode="bilinear").clamp(min=1e-3).numpy()
    truth = batch.targets["depth"].numpy()
    errors = [np.abs(said[i] - truth[i])[np.isfinite(truth[i])] for i in (0, 2)]
    final = read_run(outcome.folder).final()
    assert final is not None
    assert final.metrics["depth"]["abs_error"] == pytest.approx(float(np.concatenate(errors).mean()), rel=1e-4)
