"""Texts as characters: the reviews of fdu-mtl (Liu, Qiu, Huang, ACL 2017), and CSV folders as VD-CNN's sets are laid out."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from mtlbench.data.base import DataOptions, module_name
from mtlbench.data.disk.cache import Column
from mtlbench.data.disk.class_names import SENTIMENT
from mtlbench.data.disk.files import MAX_LINE, Array, bad, folder, lines
from mtlbench.data.disk.folders import apart, found
from mtlbench.data.disk.stored import INPUT, Key, StoredDataset, first_names, label_column
from mtlbench.errors import DataError
from mtlbench.tasks import Task, select_tasks

CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789-,;.!?:'\"/|_#$%^&*~`+=<>()[]{}"
"""VD-CNN's (section 3.1), without space, padding and unknown: 69 tokens in all."""
PADDING, UNKNOWN, SPACE = 0, 1, 2
TOKENS = len(CHARACTERS) + 3
MAX_CLASSES = 10_000
SPLITS = ("train", "test")
FDU = "<task>.task.train and <task>.task.test"
CSV = "<task>/train.csv and <task>/test.csv"

_TABLE = np.full(1 << 8, UNKNOWN, np.uint8)
_TABLE[[ord(c) for c in " \t\r\n"]] = SPACE
for _place, _character in enumerate(CHARACTERS):
    _TABLE[ord(_character)] = _TABLE[ord(_character.upper())] = _place + 3

Example = tuple[int, str]


def encode(text: str, length: int) -> Array:
    """Characters as uint8 tokens (length,), lower-cased; cut off behind `length`, or padded."""
    codes = np.minimum(np.frombuffer(text[:length].encode("utf-32-le"), np.uint32), len(_TABLE) - 1)
    tokens = np.full(length, PADDING, np.uint8)
    tokens[: len(codes)] = _TABLE[codes]
    return tokens


def decode(tokens: Array) -> str:
    """The characters of tokens (length,), without padding; "\N{REPLACEMENT CHARACTER}" where the vocabulary has none."""
    letters = {SPACE: " ", UNKNOWN: "\N{REPLACEMENT CHARACTER}", **dict(enumerate(CHARACTERS, 3))}
    return "".join(letters[t] for t in tokens.tolist() if t != PADDING)


class TextOptions(DataOptions):
    """`length` is how many characters of a text are read; `first` takes so many tasks where none are named."""

    length: int = Field(default=1024, ge=8, le=1 << 16, description="How many characters of a text are read.")
    first: int | None = Field(
        default=None, ge=1, le=10**9, description="How many tasks are taken where none are named (null: all)."
    )


@dataclass(frozen=True)
class Corpus:
    """One task's texts: the files of its splits, and how to read the labelled texts out of one."""

    files: Mapping[str, Path]
    read: Callable[[Path], Iterator[Example]]
    classes: tuple[str, ...] = ()  # their names, where they have any


class Texts(StoredDataset):
    """One stream of texts and one classification a task; a subclass finds the corpora in the folder."""

    Options: ClassVar[type[DataOptions]] = TextOptions
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "backbone": "vdcnn9", "width": 0.25, "head": 64, "steps": 300, "batch_size": 16, "lr": 5e-3,
            "data": {"length": 256, "first": 4},
        },
        "standard": {
            "backbone": "vdcnn9", "width": 0.25, "head": 128, "steps": 1000, "batch_size": 16, "lr": 5e-3,
            "data": {"length": 256},
        },
        "paper": {
            "backbone": "vdcnn29", "width": 1.0, "head": 2048, "steps": 20000, "batch_size": 128,
            "optimizer": "sgd", "lr": 0.01, "data": {"length": 1024},
        },
    }  # fmt: skip

    def __init__(self, options: TextOptions, root: Path | None, tasks: Sequence[str] | None) -> None:
        super().__init__(options, root, tasks)
        self.layout, corpora = self.corpora(folder(root, self.name, self.expected))
        known = [Task(name, "classification", 2) for name in corpora]
        chosen = select_tasks(known, first_names(corpora, tasks and list(map(module_name, tasks)), options.first))
        self.tasks, columns = survey({t.name: corpora[t.name] for t in chosen}, options.length)
        self.streams = {t.name: (t.name,) for t in chosen}
        self.weights = {t.name: 1.0 for t in chosen}
        self.shape = (options.length,)
        self.keep(columns)

    def strata(self, stream: str) -> Array:
        return self.labels(stream)

    def shown(self, inputs: Tensor) -> np.ndarray:
        return np.array([decode(row) for row in inputs.numpy()])

    expected: ClassVar[str]
    """What lies in the folder."""

    @staticmethod
    def corpora(root: Path) -> tuple[str, dict[str, Corpus]]:
        """The layout's name, and every task's corpus."""
        raise NotImplementedError


def survey(corpora: Mapping[str, Corpus], length: int) -> tuple[tuple[Task, ...], dict[Key, Column]]:
    """The corpora's tasks with their classes, and their columns."""
    counted = {name: count_labels(corpus) for name, corpus in corpora.items()}
    columns: dict[Key, Column] = {}
    for name, labels in counted.items():
        for split, values in labels.of.items():
            columns |= _columns(name, split, corpora[name], values, length)
    return tuple(
        Task(name, "classification", labels.classes, classes=corpora[name].classes) for name, labels in counted.items()
    ), columns


@dataclass(frozen=True)
class Labels:
    """How many classes a task has, and each split's labels."""

    classes: int
    of: Mapping[str, Array]


def count_labels(corpus: Corpus) -> Labels:
    """The labels of both splits, 0..classes-1 with none left out of train. DataError names the file that is wrong."""
    labels = {s: np.fromiter((label for label, _ in corpus.read(path)), np.int64) for s, path in corpus.files.items()}
    for split, values in labels.items():
        if not len(values):
            bad(corpus.files[split], "empty", "labelled texts, one a line")
    classes = int(labels["train"].max()) + 1
    if len(np.unique(labels["train"])) < max(classes, 2):
        bad(corpus.files["train"], f"labels {np.unique(labels['train'])[:20].tolist()}", "two or more, none left out")
    if int(labels["test"].max()) >= classes:
        bad(
            corpus.files["test"], f"label {labels['test'].max()}", f"the {classes} classes of '{corpus.files['train']}'"
        )
    return Labels(classes, labels)


def _columns(name: str, split: str, corpus: Corpus, labels: Array, length: int) -> dict[Key, Column]:
    path = corpus.files[split]

    def rows() -> Iterator[Array]:
        return (encode(text, length) for _, text in corpus.read(path))

    key = f"{split}/{name}/{INPUT}"
    return {
        (split, name, INPUT): Column(key, len(labels), (length,), "u1", (path,), rows, unpack_tokens, f"{length}"),
        (split, name, name): label_column(f"{split}/{name}/label", (path,), labels),
    }


def unpack_tokens(rows: Array) -> Tensor:
    """uint8 (B, L) -> int64 (B, L)."""
    return torch.from_numpy(rows).long()


class FduMtl(Texts):
    """16 domains of reviews, each positive or negative: `<task>.task.{train,test}`, lines label, tab, text."""

    name: ClassVar[str] = "fdu-mtl"
    expected: ClassVar[str] = FDU

    @staticmethod
    def corpora(root: Path) -> tuple[str, dict[str, Corpus]]:
        names = sorted({p.name.removesuffix(f".task.{s}") for s in SPLITS for p in found(root, f"*.task.{s}")})
        if not names:
            raise DataError(f"'{root}': no task (expected: {FDU})")
        apart(names, "task", root)
        files = {name: {s: root / f"{name}.task.{s}" for s in SPLITS} for name in names}
        return "fdu-mtl", {module_name(name): Corpus(files[name], tabbed, SENTIMENT) for name in names}


def tabbed(path: Path) -> Iterator[Example]:
    """Lines of label 0 or 1, a tab, and the text."""
    for number, line in enumerate(lines(path, "lines 'label<TAB>text'"), 1):
        if not line.strip():
            continue
        label, tab, text = line.partition("\t")
        if not tab or label.strip() not in ("0", "1"):
            bad(path, f"line {number} is {line[:60]!r}", "label 0 or 1, a tab, and the text")
        yield int(label), text


class TextFolders(Texts):
    """Texts of one's own: a folder a task with train.csv and test.csv, rows "label","title","text" (Zhang et al. 2015)."""

    name: ClassVar[str] = "text"
    expected: ClassVar[str] = CSV

    @staticmethod
    def corpora(root: Path) -> tuple[str, dict[str, Corpus]]:
        names = sorted({p.parent.name for s in SPLITS for p in found(root, f"*/{s}.csv")})
        if not names:
            raise DataError(f"'{root}': no task (expected: {CSV})")
        apart(names, "task", root)
        files = {name: {s: root / name / f"{s}.csv" for s in SPLITS} for name in names}
        return "csv", {module_name(name): Corpus(files[name], table) for name in names}


def table(path: Path) -> Iterator[Example]:
    """Rows of a label from 1 and one or more columns of text, joined by spaces."""
    expected = 'rows "label","title","text", labels from 1'
    csv.field_size_limit(MAX_LINE)  # of the process: 131072 characters unless somebody says otherwise
    reader = csv.reader(lines(path, expected, keep_ends=True), strict=True)
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            bad(path, f"line {reader.line_num}: {error}", expected)
        if not "".join(row).strip():
            continue
        if len(row) < 2 or not (row[0].strip().isascii() and row[0].strip().isdigit()):
            bad(path, f"line {reader.line_num} begins {','.join(row)[:60]!r}", expected)
        label = int(row[0][:9])
        if not 1 <= label <= MAX_CLASSES:
            bad(path, f"line {reader.line_num} has label {row[0][:20]}", f"1 to {MAX_CLASSES}")
        yield label - 1, " ".join(row[1:])
