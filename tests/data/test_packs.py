"""The real packs at hand, end to end through the readers; skipped where they are absent."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mtlbench.data.base import ALL, Dataset, draw_batch, epoch_steps
from mtlbench.data.domains import PACS
from mtlbench.data.nyuv2 import NYUv2
from mtlbench.data.text import FduMtl
from mtlbench.errors import DataError
from mtlbench.tasks.losses import labelled

PACKS = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not PACKS.is_dir(), reason=f"no real data at {PACKS}")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Dataset]:
    """Every pack once, with a cache of the module's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        return {
            kind.name: kind(kind.Options(**options), PACKS / kind.name, tasks)
            for kind, options, tasks in (
                (NYUv2, {}, ("segmentation", "depth")),
                (PACS, {}, ("art_painting", "photo")),
                (FduMtl, {"length": 64, "first": 4}, None),
            )
        }


@pytest.mark.parametrize("name", ["nyuv2", "pacs", "fdu-mtl"])
def test_every_stream_and_part_gives_batches_of_the_promised_form(opened: dict[str, Dataset], name: str) -> None:
    data = opened[name]
    for stream, tasks in data.streams.items():
        for part in ("train", "train-a", "train-b"):
            batch = draw_batch(data, 0, part, stream, 2, 4)
            assert batch.inputs.shape == (4, *data.shape)
            assert set(batch.targets) == set(tasks)
            for task in (t for t in data.tasks if t.name in tasks):
                target = batch.targets[task.name]
                mask = labelled(task, target)
                values = (
                    target[mask] if task.kind in ("segmentation", "classification") else target.movedim(1, -1)[mask]
                )
                assert values.numel()
                assert bool(torch.isfinite(values.float()).all())
                assert task.kind == "depth" or int(values.max()) < task.channels


@pytest.mark.parametrize("name", ["nyuv2", "pacs", "fdu-mtl"])
def test_parts_are_disjoint_and_cover_the_training_split(opened: dict[str, Dataset], name: str) -> None:
    data = opened[name]
    for stream in data.streams:
        parts = [set(data.indices(part, stream).tolist()) for part in ("train-a", "train-b", "val")]
        assert sum(map(len, parts)) == len(set.union(*parts)) == data.size("train", stream)
        assert parts[0] | parts[1] == set(data.indices("train", stream).tolist())


def test_nyuv2_has_the_official_splits_and_published_parts(opened: dict[str, Dataset]) -> None:
    data = opened["nyuv2"]
    assert (data.size("train", ALL), data.size("test", ALL)) == (795, 654)
    published = data.published_parts(ALL)
    assert published is not None
    assert [len(part) for part in published] == [636, 159]
    assert data.layout == "adashare"
    assert data.shape == (3, 96, 128)
    assert data.weights == {"segmentation": 1.0, "depth": 1.0}


def test_nyuv2s_depth_lies_within_the_sensors_range(opened: dict[str, Dataset]) -> None:
    depth = opened["nyuv2"].items("train", ALL, range(0, 795, 20)).targets["depth"]
    assert 0.4 < float(depth.min()) < 2
    assert 8 < float(depth.max()) <= 10.2


def test_pacs_counts_are_the_published_ones(tmp_path: Path) -> None:
    from mtlbench.data.domains import recognise

    _, names, classes, read = recognise(PACKS / "pacs")
    totals = {name: sum(len(files) for files in read[name].files.values()) for name in names}
    assert totals == {"art_painting": 2048, "cartoon": 2344, "photo": 1670, "sketch": 3929}  # Li et al. 2017
    assert classes == ("dog", "elephant", "giraffe", "guitar", "horse", "house", "person")


def test_an_epoch_is_the_largest_streams(opened: dict[str, Dataset]) -> None:
    data = opened["pacs"]
    assert epoch_steps(data, "train", 16) == -(-len(data.indices("train", "art_painting")) // 16)


def test_another_packs_folder_is_refused() -> None:
    with pytest.raises(DataError, match="no layout of NYUv2"):
        NYUv2(NYUv2.Options(), PACKS / "pacs", None)
