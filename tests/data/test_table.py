"""Tables: encoded and standardised by the training rows, missing cells masked, and one clear line for what cannot be."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch

from mtlbench.checks import dataset_battery
from mtlbench.data.base import ALL
from mtlbench.data.table import Table, TableOptions
from mtlbench.errors import ConfigError, DataError
from mtlbench.runs.runner import execute
from mtlbench.study.settings import gather
from mtlbench.study.study import resolve, runs

TRAIN = """age,city,note,price,sold,tags,grade
10,Rome,,1,yes,red;blue,2
20,Oslo,x,3,no,-,10
,Rome,x,,yes,,1
30,,y,5,,blue,2
"""
TEST = """age,city,note,price,sold,tags,grade
40,Paris,z,2,no,red,10
,Oslo,,,yes,,
"""
TARGETS = {"price": "regression", "sold": "classification", "tags": "multi-label", "grade": "ordinal"}


def two(root: Path, train: str = TRAIN, test: str = TEST) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "train.csv").write_text(train)
    (root / "test.csv").write_text(test)
    return root


def opened(root: Path, targets: dict[str, str] = TARGETS, tasks: list[str] | None = None, **options: object) -> Table:
    return Table(TableOptions.model_validate({"targets": targets, **options}), root, tasks)


def test_inputs_are_standardised_and_encoded_by_the_training_rows(tmp_path: Path) -> None:
    data = opened(two(tmp_path / "d"))
    deviation = np.std([10, 20, 30])
    train = data.items("train", ALL, range(4)).inputs[..., 0].numpy()
    test = data.items("test", ALL, range(2)).inputs[..., 0].numpy()
    # age, whether age is missing; Oslo, Rome; x, y
    expected = [
        [-10 / deviation, 0, 0, 1, 0, 0],
        [0, 0, 1, 0, 1, 0],
        [0, 1, 0, 1, 1, 0],
        [10 / deviation, 0, 0, 0, 0, 1],
    ]
    np.testing.assert_allclose(train, expected, rtol=1e-6)
    np.testing.assert_allclose(test, [[20 / deviation, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0]], rtol=1e-6)
    assert data.shape == (6, 1)


def test_targets_are_labels_of_their_kinds_and_missing_ones_are_masked(tmp_path: Path) -> None:
    data = opened(two(tmp_path / "d"))
    batch = data.items("train", ALL, range(4)).targets
    sd = np.std([1, 3, 5])
    np.testing.assert_allclose(batch["price"][:, 0].numpy(), [-2 / sd, 0, np.nan, 2 / sd], rtol=1e-6)
    assert batch["sold"].tolist() == [1, 0, 1, -1]  # no, yes
    np.testing.assert_array_equal(batch["tags"].numpy(), [[1, 1], [0, 0], [np.nan, np.nan], [1, 0]])  # blue, red
    assert batch["grade"].tolist() == [1, 2, 0, 1]  # 1, 2, 10: in the order of numbers
    test = data.items("test", ALL, range(2)).targets
    np.testing.assert_allclose(test["price"][:, 0].numpy(), [-1 / sd, np.nan], rtol=1e-6)
    assert (test["sold"].tolist(), test["grade"].tolist()) == ([0, 1], [2, -1])
    known = {t.name: (t.kind, t.channels, t.unit, t.classes) for t in data.tasks}
    assert known == {
        "price": ("regression", 1, "sd", ()),
        "sold": ("classification", 2, "", ("no", "yes")),
        "tags": ("multi-label", 2, "", ("blue", "red")),
        "grade": ("ordinal", 2, "", ()),
    }


def rows(count: int = 60) -> str:
    random = np.random.default_rng(0)
    lines = [f"{random.normal():.4f},{'pq'[i % 2]},{random.normal():.3f},{'ab'[i % 3 == 0]}" for i in range(count)]
    return "\n".join(["n,c,y,k", *lines]) + "\n"


def test_one_table_is_split_by_class_and_by_its_content(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(rows())
    targets = {"y": "regression", "k": "classification"}
    one, folder = opened(tmp_path / "t.csv", targets), opened(tmp_path, targets)
    assert one.fingerprint == folder.fingerprint
    assert (one.size("train", ALL), one.size("test", ALL)) == (48, 12)
    assert torch.bincount(one.items("test", ALL, range(12)).targets["k"]).tolist() == [8, 4]
    assert not one.neighbours
    assert opened(tmp_path, targets, ["k"]).items("train", ALL, [0]).targets.keys() == {"k"}
    assert [f.detail for f in dataset_battery(one) if not f.ok] == []


@pytest.mark.parametrize("change", [
    lambda t: "\N{ZERO WIDTH NO-BREAK SPACE}" + t, lambda t: t + "\n\n", lambda t: t.replace("\n", "\r\n"),
    lambda t: t.replace("Rome", '"Rome"'),
])  # fmt: skip
def test_tables_as_people_have_them_are_the_same_data(tmp_path: Path, change: object) -> None:
    before = opened(two(tmp_path / "a"))
    (two(tmp_path / "b") / "train.csv").write_bytes(change(TRAIN).encode())
    assert opened(tmp_path / "b").fingerprint == before.fingerprint
    semicolons = two(tmp_path / "c", *(t.replace(";", "|").replace(",", ";").replace("|", ",") for t in (TRAIN, TEST)))
    assert opened(semicolons, {"price": "regression"}, inputs=["age"], separator=";").shape == (2, 1)


WRONG = {
    "target unknown": (
        TRAIN,
        {"targets": {"pric": "regression"}},
        r"unknown target column .*'pric'; did you mean 'price'\?",
    ),
    "no target": (
        TRAIN,
        {"targets": {}},
        r"which columns of .* are targets\? --set 'table.targets=.*columns: age, city",
    ),
    "input unknown": (TRAIN, {"inputs": ["agee"]}, "unknown input column .*did you mean 'age'"),
    "both": (TRAIN, {"inputs": ["price"]}, "'price' is an input and a target"),
    "no number": (
        TRAIN,
        {"targets": {"city": "regression"}},
        r"column 'city' holds 'Rome' in row 1 \(expected: finite",
    ),
    "infinite": (TRAIN.replace("10,R", "inf,R"), {}, r"column 'age' holds 'inf' in row 1"),
    "one class": (TRAIN.replace("no,-", "yes,-"), {}, "target 'sold' is always 'yes'"),
    "class of test only": (TRAIN.replace(",10\n", ",9\n"), {}, "target 'grade' is '10' in a test row"),
    "label of test only": (TRAIN.replace("red;", ""), {}, "target 'tags' has the label 'red' in test rows only"),
    "no label": (TRAIN, {"targets": {"note": "multi-label"}, "inputs": ["age"]}, "the label 'z' in test rows only"),
    "column twice": (TRAIN.replace("note", "age", 1), {}, "column 'age' twice"),
    "columns differ": (TRAIN.replace("note", "notes", 1), {}, r"test.csv': columns .*expected: those of train.csv"),
    "empty": ("", {}, "empty"),
    "no row": ("a,b\n", {}, "no row"),
    "ragged": (TRAIN + '"', {}, "no readable table"),
    "binary": ("\0\1\2", {}, "binary content"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_is_one_clear_line(tmp_path: Path, name: str) -> None:
    train, options, says = WRONG[name]
    root = two(tmp_path / "d", train)
    with pytest.raises((DataError, ConfigError), match=says) as caught:
        Table(TableOptions.model_validate({"targets": TARGETS, **options}), root, None)
    assert "\n" not in str(caught.value)


def test_tables_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such table \(expected: train.csv and test.csv, or one"):
        opened(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match="no table"):
        opened(tmp_path)
    (tmp_path / "a.csv").write_text(rows())
    (tmp_path / "b.csv").write_text(rows())
    with pytest.raises(DataError, match=r"2 tables \(a.csv, b.csv\)"):
        opened(tmp_path)


def test_names_of_rows_are_no_categories(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,y\n" + "".join(f"x{i},{i}\n" for i in range(1300)))
    with pytest.raises(DataError, match=r"column 'id' has 10\d\d values .expected: at most 1000"):
        opened(tmp_path, {"y": "regression"})


def test_the_commands_of_the_documentation_run_as_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs/datasets.md").read_text()
    block = re.search(r"## A table of one's own.*?```\n(.*?)```", text, re.S)
    assert block is not None
    commands = [shlex.split(line) for line in block[1].strip().splitlines()]
    assert len(commands) == 5
    monkeypatch.chdir(tmp_path)
    exec(next(c[2] for c in commands if c[0] == "python"), {})  # the table is drawn
    run = next(c for c in commands if c[1] == "run" and "--dry-run" not in c)
    named = dict(zip(run[2::2], run[3::2], strict=True))
    settings = gather({"dataset": named["--dataset"], "data_dir": named["--data-dir"], "set": [named["--set"]],
                       "methods": named["--methods"], "steps": "3", "out": "field", "device": "cpu"})  # fmt: skip
    first = runs(resolve(settings))[0]
    assert execute(first).status == "finished"
