"""Tables of numbers and categories: the columns of a CSV file are inputs and targets of every kind that is not dense."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from mtlbench.data.base import ALL, Batch, DataOptions, Dataset, drawn_by_class, module_name
from mtlbench.data.disk.files import Array, bad, lines, require
from mtlbench.data.disk.folders import apart, found
from mtlbench.data.disk.stored import combine
from mtlbench.errors import ConfigError, DataError, one_line, unknown
from mtlbench.tasks import Task, select_tasks

EXPECTED = "train.csv and test.csv, or one .csv file, with a line of names first"
TARGETS = "--set 'table.targets={COLUMN: KIND}'"
MAX_CATEGORIES = 1000  # of an input: more are names of rows, not categories
MAX_BYTES = 1 << 30
SEPARATOR, NONE = ";", "-"  # of the labels in one cell, and a cell with none of them
Kind = Literal["regression", "regression-l1", "classification", "ordinal", "multi-label"]
Column = pd.Series  # of text, NaN where the cell is empty


class TableOptions(DataOptions):
    """`targets` names columns and their kinds; `inputs` the columns to tell them from (None: all others).

    `separator` stands between columns. A table without a test.csv holds back `test_fraction` of its rows, by class.
    """

    targets: dict[str, Kind] = Field(
        default_factory=dict, description="The columns to be told, and the kind of each: {COLUMN: KIND}."
    )
    inputs: tuple[str, ...] | None = Field(
        default=None, description="The columns to tell them from (null: all others)."
    )
    separator: str = Field(default=",", min_length=1, max_length=1, description="What stands between columns.")
    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="The share of the rows of a single table held back for testing."
    )


class Table(Dataset):
    """A CSV file of one's own: some columns are targets of the kinds one names, the others inputs.

    Vectors (N, 1) and their labels, standardised and encoded by what the training rows hold.
    """

    name: ClassVar[str] = "table"
    Options: ClassVar[type[DataOptions]] = TableOptions
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {"backbone": "resmlp", "width": 0.25, "steps": 300, "batch_size": 32, "lr": 3e-3},
        "standard": {"backbone": "resmlp", "width": 0.5, "steps": 2000, "batch_size": 64, "lr": 2e-3},
        "paper": {"backbone": "resmlp", "width": 1.0, "steps": 10000, "batch_size": 64, "lr": 1e-3},
    }

    def __init__(self, options: TableOptions, root: Path | None, tasks: Sequence[str] | None) -> None:
        super().__init__(options, root, tasks)
        if root is None:
            raise DataError(f"data set 'table' needs its table: --data-dir DIR or FILE (expected: {EXPECTED})")
        self.layout, place, frames = read(root, options)
        apart(options.targets, "target", place)
        targets = {module_name(c): target(frames, c, kind, place) for c, kind in options.targets.items()}
        chosen = tasks and list(map(module_name, tasks))
        self.tasks = select_tasks([t.task(name) for name, t in targets.items()], chosen)
        self._y = {t.name: targets[t.name].values for t in self.tasks}
        self._x = inputs(frames, _named(frames, options, place), place)
        self.shape = (self._x["train"].shape[1], 1)
        self.streams = {ALL: tuple(t.name for t in self.tasks)}
        self.weights = {t.name: 1.0 for t in self.tasks}
        parts = {f"{n}/{s}": a for n, of in {"": self._x, **self._y}.items() for s, a in of.items()}
        self.fingerprint = combine({k: hashlib.sha256(a.tobytes()).hexdigest() for k, a in parts.items()})

    def size(self, split: str, stream: str) -> int:
        return len(self._x[split])

    def items(self, split: str, stream: str, indices: Sequence[int]) -> Batch:
        rows = np.asarray(indices, np.int64)
        x = torch.from_numpy(self._x[split][rows]).unsqueeze(2)  # (B, N, 1)
        return Batch(x, {name: torch.from_numpy(y[split][rows]) for name, y in self._y.items()})

    def strata(self, stream: str) -> Array:
        return _classes([(t, self._y[t.name]["train"]) for t in self.tasks], self.size("train", stream))


def _classes(labels: Sequence[tuple[Task, Array]], count: int) -> Array:
    """What rows are held back by: the first task's classes, where one has any."""
    return next((y for task, y in labels if task.meaning.integers), np.zeros(count, np.int64))


def _named(frames: Mapping[str, pd.DataFrame], options: TableOptions, place: Path) -> list[str]:
    columns = list(frames["train"].columns)
    names = list(options.inputs) if options.inputs is not None else [c for c in columns if c not in options.targets]
    for name in names:
        if name not in columns:
            raise unknown(f"input column of '{place}'", name, columns)
    if both := set(names) & set(options.targets):
        raise ConfigError(f"'{min(both)}' is an input and a target (allowed: one of the two)")
    if not names:
        raise ConfigError(f"'{place}' has no column left for an input (allowed: one or more)")
    return names


def read(root: Path, options: TableOptions) -> tuple[str, Path, dict[str, pd.DataFrame]]:
    """The layout, the table's place and the rows of both splits, as text. DataError where there is no such table."""
    files = (
        [root] if root.is_file() else found(root, "*.csv") if root.is_dir() else bad(root, "no such table", EXPECTED)
    )
    by_name = {path.name: path for path in files}
    if {"train.csv", "test.csv"} <= by_name.keys():
        frames = {split: load(by_name[f"{split}.csv"], options.separator) for split in ("train", "test")}
        if list(frames["train"].columns) != list(frames["test"].columns):
            bad(
                by_name["test.csv"],
                f"columns {', '.join(frames['test'].columns)[:120]}",
                "those of train.csv, in their order",
            )
        _known(frames["train"], options, root)
        return "two tables", root, frames
    if len(files) != 1:
        bad(root, f"{len(files)} tables ({', '.join(sorted(by_name)[:5])})" if files else "no table", EXPECTED)
    frame = load(files[0], options.separator)
    _known(frame, options, files[0])
    by_class = [c for c, kind in options.targets.items() if kind in ("classification", "ordinal")]
    strata = pd.factorize(frame[by_class[0]])[0] if by_class else np.zeros(len(frame), np.int64)
    content = hashlib.sha256(frame.to_csv().encode()).hexdigest()
    held = drawn_by_class(strata, options.test_fraction, "table", content)
    train = np.setdiff1d(np.arange(len(frame)), held)
    return "one table", files[0], {"train": frame.iloc[train], "test": frame.iloc[held]}


def _known(frame: pd.DataFrame, options: TableOptions, place: Path) -> None:
    columns = list(frame.columns)
    if not options.targets:
        raise ConfigError(f"which columns of '{place}' are targets? {TARGETS} (columns: {', '.join(columns)[:200]})")
    for name in options.targets:
        if name not in columns:
            raise unknown(f"target column of '{place}'", name, columns)


def load(path: Path, separator: str) -> pd.DataFrame:
    """A table as text, NaN where a cell is empty or says NA. DataError names what is wrong with the file."""
    if require(path, EXPECTED).stat().st_size > MAX_BYTES:
        bad(path, "too large", f"at most {MAX_BYTES:,} bytes")
    header = next(csv.reader(lines(path, EXPECTED, keep_ends=True), delimiter=separator), [])
    twice = sorted({name for name in header if header.count(name) > 1 or not name.strip()})
    if not header or twice:
        bad(path, f"column '{twice[0]}' twice or without a name" if twice else "empty", EXPECTED)
    try:
        frame = pd.read_csv(
            path, sep=separator, dtype=str, encoding="utf-8-sig", encoding_errors="replace", index_col=False
        )
    except Exception as error:  # the bytes may be anything
        raise DataError(f"'{path}': no readable table, {one_line(error)} (expected: {EXPECTED})") from error
    if not len(frame):
        bad(path, "no row", EXPECTED)
    return frame


def numbers(column: Column, name: str, place: Path) -> Array:
    """A column of numbers, NaN where missing. DataError where a cell holds something else."""
    values = pd.to_numeric(column, errors="coerce")
    wrong = column[(values.isna() & column.notna()) | np.isinf(values)]
    if len(wrong):
        bad(place, f"column '{name}' holds {wrong.iloc[0][:40]!r} in row {int(wrong.index[0]) + 1}", "finite numbers")
    return values.to_numpy(np.float64)


def levels(column: Column) -> list[str]:
    """The values of a column, in the order of numbers where all are numbers."""
    values = list(column.dropna().unique())
    as_numbers = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce")
    return sorted(values, key=float) if values and not as_numbers.isna().any() else sorted(values)


def moments(values: Array) -> tuple[float, float]:
    """Mean and deviation of what is known; 1 where nothing varies."""
    known = values[~np.isnan(values)]
    deviation = float(known.std()) if len(known) else 0.0
    return (float(known.mean()) if len(known) else 0.0), deviation if deviation > 1e-12 else 1.0


def inputs(frames: Mapping[str, pd.DataFrame], names: Sequence[str], place: Path) -> dict[str, Array]:
    """Both splits' inputs (M, N) float32: numbers standardised, a missing one 0 and told apart; categories one of each."""
    columns: dict[str, list[Array]] = {split: [] for split in frames}
    for name in names:
        train = frames["train"][name]
        numeric = not (pd.to_numeric(train, errors="coerce").isna() & train.notna()).any()
        known = [] if numeric else levels(train)
        if len(known) > MAX_CATEGORIES:
            bad(
                place,
                f"column '{name}' has {len(known)} values",
                f"at most {MAX_CATEGORIES}; --set table.inputs names others",
            )
        mean, deviation = moments(numbers(train, name, place)) if numeric else (0.0, 1.0)
        for split, frame in frames.items():
            if numeric:
                values = (numbers(frame[name], name, place) - mean) / deviation
                columns[split].append(np.nan_to_num(values)[:, None])
                if train.isna().any():
                    columns[split].append(np.isnan(values)[:, None])
            else:
                columns[split].append(frame[name].to_numpy(object)[:, None] == np.array(known, object)[None])
    return {split: np.concatenate(parts, 1).astype(np.float32) for split, parts in columns.items()}


@dataclass(frozen=True)
class Target:
    """A target column: its kind, its outputs, its classes, and both splits' labels."""

    kind: str
    channels: int
    classes: tuple[str, ...]
    values: Mapping[str, Array]

    def task(self, name: str) -> Task:
        """The task; numbers are in deviations of the training rows."""
        unit = "sd" if self.kind.startswith("regression") else ""
        return Task(name, self.kind, self.channels, unit=unit, classes=self.classes)


def target(frames: Mapping[str, pd.DataFrame], name: str, kind: Kind, place: Path) -> Target:
    """A column as the labels of a kind, missing where the cell is. DataError where it cannot be."""
    columns = {split: frame[name] for split, frame in frames.items()}
    if columns["train"].isna().all():
        bad(place, f"target '{name}' has no label in the training rows", "labels for some")
    if kind in ("regression", "regression-l1"):
        raw = {split: numbers(column, name, place) for split, column in columns.items()}
        mean, deviation = moments(raw["train"])
        scaled = {split: ((v - mean) / deviation).astype(np.float32)[:, None] for split, v in raw.items()}
        return Target(kind, 1, (), scaled)
    if kind == "multi-label":
        return _several(columns, name, place)
    known = levels(columns["train"])
    if len(known) < 2:
        bad(place, f"target '{name}' is always '{known[0][:40]}'", "two classes or more")
    code = {value: i for i, value in enumerate(known)}
    for value in columns["test"].dropna():
        if value not in code:
            bad(
                place,
                f"target '{name}' is '{value[:40]}' in a test row",
                f"the training rows' {', '.join(known)[:120]}",
            )
    labels = {s: c.map(code).fillna(-1).to_numpy(np.int64) for s, c in columns.items()}
    return Target(kind, len(known) - (kind == "ordinal"), () if kind == "ordinal" else tuple(known), labels)


def _several(columns: Mapping[str, Column], name: str, place: Path) -> Target:
    """Cells of labels with ; between them, - for none of them: 1 and 0, all NaN where the cell is empty."""
    cells = {s: [None if pd.isna(v) else _parts(v) for v in column] for s, column in columns.items()}
    known = sorted({label for cell in cells["train"] for label in cell or ()})
    strange = {label for cell in cells["test"] for label in cell or ()} - set(known)
    if not known or strange:
        given = (
            f"target '{name}' has the label '{min(strange)[:40]}' in test rows only"
            if strange
            else f"target '{name}' has none"
        )
        bad(place, given, "labels of the training rows")
    rows = {s: [[np.nan if c is None else float(k in c) for k in known] for c in of] for s, of in cells.items()}
    return Target("multi-label", len(known), tuple(known), {s: np.array(r, np.float32) for s, r in rows.items()})


def _parts(cell: str) -> set[str]:
    return {part.strip() for part in cell.split(SEPARATOR)} - {NONE, ""}
