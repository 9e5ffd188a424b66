"""Texts: VD-CNN's alphabet, reviews and tables, one stream a task."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
import torch

from mtlbench.backbones import vdcnn
from mtlbench.data.base import draw_batch
from mtlbench.data.text import CHARACTERS, PADDING, SPACE, TOKENS, UNKNOWN, FduMtl, TextFolders, TextOptions, encode
from mtlbench.errors import DataError
from tests.helpers import layouts_on_disk as disk
from tests.helpers.networks import tiny_build

pytestmark = pytest.mark.usefixtures("own_cache")


def decode(tokens: torch.Tensor) -> str:
    named = {PADDING: "", UNKNOWN: "\N{REPLACEMENT CHARACTER}", SPACE: " "}
    return "".join(named.get(t, CHARACTERS[t - 3] if t > 2 else "") for t in tokens.tolist())


def reviews(root: Path, tasks: tuple[str, ...] | None = None, **options: object) -> FduMtl:
    return FduMtl(TextOptions(**{"length": 16, **options}), root, tasks)


def test_the_alphabet_has_the_papers_69_tokens() -> None:
    assert TOKENS == vdcnn.TOKENS == 69
    assert len(set(CHARACTERS)) == 66
    assert set(string.ascii_lowercase + string.digits) < set(CHARACTERS)


def test_encoding_lowers_pads_cuts_and_marks_the_unknown() -> None:
    assert encode("ab A", 6).tolist() == [3, 4, SPACE, 3, PADDING, PADDING]
    assert encode("abcdef", 3).tolist() == [3, 4, 5]
    assert encode("é语\U0001f600\\", 5).tolist() == [UNKNOWN] * 4 + [PADDING]
    assert encode("\t\n", 2).tolist() == [SPACE, SPACE]
    assert encode("", 2).tolist() == [PADDING, PADDING]


def test_every_known_character_has_its_own_token() -> None:
    tokens = encode(CHARACTERS + " ", 80)
    assert sorted({*tokens.tolist(), UNKNOWN}) == list(range(TOKENS))
    assert decode(torch.from_numpy(tokens)) == CHARACTERS + " "


def test_reviews_give_back_texts_and_labels(tmp_path: Path) -> None:
    data = reviews(disk.reviews(tmp_path / "d"))
    assert data.layout == "fdu-mtl"
    assert dict(data.streams) == {"books": ("books",), "dvd": ("dvd",)}
    batch = data.items("test", "dvd", [0, 3])
    assert [decode(row) for row in batch.inputs] == ["dvd 0", "dvd 3"]
    assert batch.inputs.dtype == torch.int64
    assert batch.targets["dvd"].tolist() == [0, 1]
    assert data.tasks[0].channels == 2


def test_bytes_that_are_not_utf8_are_replaced(tmp_path: Path) -> None:
    root = disk.reviews(tmp_path / "d")
    (root / "dvd.task.train").write_bytes(b"0\tcaf\xe9 a\n1\tb\n")
    assert decode(reviews(root).items("train", "dvd", [0]).inputs[0]) == "caf\N{REPLACEMENT CHARACTER} a"


def test_tables_join_their_columns_and_count_labels_from_one(tmp_path: Path) -> None:
    data = TextFolders(TextOptions(length=20), disk.tables(tmp_path / "d"), None)
    assert data.layout == "csv"
    assert [t.channels for t in data.tasks] == [3, 3]
    batch = data.items("train", "ag", range(6))
    assert batch.targets["ag"].tolist() == [0, 1, 2, 0, 1, 2]
    assert decode(batch.inputs[4]) == '"ag", 4 a b'


def test_tasks_may_have_different_numbers_of_classes(tmp_path: Path) -> None:
    disk.tables(tmp_path / "d", ("ag",), classes=2)
    disk.tables(tmp_path / "d", ("yahoo",), classes=5)
    data = TextFolders(TextOptions(length=8), tmp_path / "d", None)
    assert {t.name: t.channels for t in data.tasks} == {"ag": 2, "yahoo": 5}


def test_tasks_are_those_named_or_the_first(tmp_path: Path) -> None:
    root = disk.reviews(tmp_path / "d", ("a", "b", "c"))
    assert [t.name for t in reviews(root, first=2).tasks] == ["a", "b"]
    assert [t.name for t in reviews(root, ("c",), first=2).tasks] == ["c"]


def test_a_drawn_batch_runs_through_the_backbone(tmp_path: Path) -> None:
    data = reviews(disk.reviews(tmp_path / "d", count=20))
    build = tiny_build("vdcnn9", 0.0625, data.shape, tuple(data.streams))
    network = build.backbone()
    for task in data.tasks:
        build.stream = task.name
        batch = draw_batch(data, 0, "train", task.name, 0, 4)
        logits = build.head(task, network.channels[-1])(network(batch.inputs))
        assert logits.shape == (4, 2)
        assert set(batch.targets) == {task.name}


def test_the_length_is_part_of_what_is_cached(tmp_path: Path) -> None:
    root = disk.reviews(tmp_path / "d")
    assert reviews(root, length=8).items("train", "dvd", [0]).inputs.shape == (1, 8)
    assert reviews(root, length=12).items("train", "dvd", [0]).inputs.shape == (1, 12)


def test_folders_without_tasks_say_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no task \(expected: <task>.task.train and <task>.task.test\)"):
        reviews(tmp_path)
    with pytest.raises(DataError, match=r"no task \(expected: <task>/train.csv and <task>/test.csv\)"):
        TextFolders(TextOptions(), tmp_path, None)
