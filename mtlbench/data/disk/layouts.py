"""The two layouts that several scene sets come in: AdaShare's JSON lists of groups, LibMTL's folders of numbered arrays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mtlbench.data.disk.files import bad, groups, inside, load_json, numbered, require
from mtlbench.data.disk.stored import INPUT

Paths = dict[tuple[str, str], list[Path]]
"""The files of every (split, field), item by item."""
Parts = tuple[np.ndarray, np.ndarray] | None
SPLITS = ("train", "test")
FOLDERS = {"train": "train", "test": "val"}  # LibMTL's "val" is the official test split


def listed(listing: Path, fields: Sequence[str | None]) -> tuple[Paths, Parts]:
    """Files of AdaShare's {"train": [[path, ...], ...], "test": ...}, and its train1 and train2 where it has them.

    `fields` names a group's entries in order; None is one that is not wanted.
    """
    content = load_json(listing, "one of AdaShare's lists")
    rows = {split: groups(listing, content, split, len(fields)) for split in SPLITS}
    paths = {
        (split, field): [
            _file(inside(listing.parent, row[i], listing), field, f"named in {listing.name}") for row in group
        ]
        for split, group in rows.items()
        for i, field in enumerate(fields)
        if field is not None
    }
    both = {row[0] for row in rows["train"]} & {row[0] for row in rows["test"]}
    if both:
        bad(listing, f"'train' and 'test' share '{min(both)}'", "two disjoint splits")
    parts = None
    if "train1" in content or "train2" in content:
        place = {row[0]: i for i, row in enumerate(rows["train"])}
        first, second = (
            _part(listing, groups(listing, content, key, len(fields)), key, place) for key in ("train1", "train2")
        )
        if np.intersect1d(first, second).size:
            bad(listing, "'train1' and 'train2' share images", "two disjoint parts of 'train'")
        parts = (first, second)
    return paths, parts


def _file(path: Path, field: str, expected: str) -> Path:
    """An input has to be there; whether a label may be missing is the data set's option."""
    return require(path, expected) if field == INPUT else path


def _part(listing: Path, rows: Sequence[Sequence[str]], key: str, place: Mapping[str, int]) -> np.ndarray:
    strange = [str(row[0]) for row in rows if row[0] not in place]
    if strange:
        bad(listing, f"'{key}' names '{strange[0]}', which 'train' does not", f"'{key}' is a part of 'train'")
    return np.unique([place[row[0]] for row in rows])


def numbered_folders(root: Path, folders: Mapping[str, str]) -> Paths:
    """Files of LibMTL's {train,val}/<folder>/<i>.npy; `folders` gives each field's, and counterparts share a name."""
    paths: Paths = {}
    for split, place in FOLDERS.items():
        inputs = numbered(root / place / folders[INPUT], ".npy")
        for field, name in folders.items():
            here = root / place / name
            paths[split, field] = [here / file.name for file in inputs]
    return paths
