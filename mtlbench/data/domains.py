"""Collections of image domains (DomainNet, PACS, Office-Home): one stream and one classification a domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from mtlbench.data.augment import Augmentation, Zoom, augment, fits_crop
from mtlbench.data.base import Batch, DataOptions, module_name
from mtlbench.data.disk.cache import Column
from mtlbench.data.disk.files import Array, bad, folder, inside, lines, require
from mtlbench.data.disk.folders import apart, domain_folders, folders, found, not_above, strictly, utf8
from mtlbench.data.disk.images import photo
from mtlbench.data.disk.stored import INPUT, Key, StoredDataset, first_names, label_column, unpack_images
from mtlbench.data.published import experiment
from mtlbench.errors import DataError
from mtlbench.tasks import Task, select_tasks

EXPECTED = "<domain>_train.txt and <domain>_test.txt of lines 'path label', or <domain>/<class>/<image>"
SPLITS = ("train", "test")
HELD = 5  # without lists, every fifth image of a class is for testing
MAX_CLASSES = 10_000


class DomainOptions(DataOptions):
    """`size` is the side that images are brought to (shorter side resized, centre kept); `crop` None is all of it.

    `first` takes so many domains where none are named; zooms are drawn uniformly.
    """

    size: int = Field(
        default=64,
        ge=8,
        le=2048,
        description="The side images are brought to: the shorter side resized, the centre kept.",
    )
    crop: int | None = Field(
        default=None, ge=8, le=65_536, description="The side of what training sees of an image (null: all of it)."
    )
    zoom_min: Zoom = Field(default=0.8, description="The smallest zoom of a training image.")
    zoom_max: Zoom = Field(default=1.25, description="The largest zoom of a training image.")
    mirror: bool = Field(default=True, description="Whether half of the training images are mirrored.")
    first: int | None = Field(
        default=None, ge=1, le=10**9, description="How many domains are taken where none are named (null: all)."
    )


@dataclass(frozen=True)
class Domain:
    """Each split's images and their labels, 0..classes-1."""

    files: Mapping[str, Sequence[Path]]
    labels: Mapping[str, Array]
    sources: Mapping[str, tuple[Path, ...]]  # what the labels come from


class Domains(StoredDataset):
    """Any folder of domains, a task each, that share their classes, with lists or as a tree."""

    name: ClassVar[str] = "domains"
    size_option: ClassVar[str | None] = "size"
    Options: ClassVar[type[DataOptions]] = DomainOptions
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "quick": {
            "backbone": "resnet18", "width": 0.125, "steps": 300, "batch_size": 16,
            "data": {"size": 64, "first": 4},
        },
        "standard": {
            "backbone": "resnet18", "width": 0.25, "steps": 1000, "batch_size": 16, "data": {"size": 64},
        },
        "paper": {
            "backbone": "resnet34", "width": 1.0, "steps": 20000, "batch_size": 32, "optimizer": "adam", "lr": 1e-3,
            "data": {"size": 256, "crop": 224},
        },
    }  # fmt: skip

    def __init__(self, options: DomainOptions, root: Path | None, tasks: Sequence[str] | None) -> None:
        super().__init__(options, root, tasks)
        self.layout, names, classes, read = recognise(folder(root, self.name, EXPECTED))
        self.tasks = select_tasks(
            [Task(name, "classification", len(classes), classes=classes) for name in names],
            first_names(names, tasks and list(map(module_name, tasks)), options.first),
        )
        self.streams = {t.name: (t.name,) for t in self.tasks}
        self.weights = {t.name: 1.0 for t in self.tasks}
        fits_crop(options.crop, (options.size, options.size))
        side = options.crop or options.size
        self.shape = (3, side, side)
        self.augmentation = Augmentation((options.zoom_min, options.zoom_max), options.mirror, (side, side))
        self.keep({key: c for t in self.tasks for key, c in domain_columns(t.name, read[t.name], options.size).items()})

    def strata(self, stream: str) -> Array:
        return self.labels(stream)

    def augment(self, batch: Batch, random: torch.Generator) -> Batch:
        return augment(batch, self.tasks, self.augmentation, random)


class PACS(Domains):
    """Photos, art paintings, cartoons and sketches of 7 classes (Li et al., ICCV 2017)."""

    name: ClassVar[str] = "pacs"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Domains.presets,  # the trials that were best for both anchors (results/tuning)
        "quick": {**Domains.presets["quick"], "lr": 3.3e-3, "weight_decay": 5.6e-4, "dropout": 0.06},
        "standard": {  # the study's cell D
            **Domains.presets["standard"], "width": 0.125, "steps": 1500,
            "lr": 3.3e-3, "weight_decay": 5.6e-4, "dropout": 0.06,
        },
    }  # fmt: skip


class DomainNet(Domains):
    """Images of 345 classes in 6 domains, a task each (Peng et al., ICCV 2019)."""

    name: ClassVar[str] = "domainnet"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        **Domains.presets,
        # The heads learn 100 times as fast as the backbone, and their rate alone falls.
        "paper": experiment(
            20_000, 1e-5, "constant", batch_size=32, head_lr=100.0, head_schedule="step:2000:0.3",
            data={"size": 256, "crop": 224},
        ),
    }  # fmt: skip
    """AdaShare's setting also takes ImageNet weights: `--pretrained`."""


def recognise(root: Path) -> tuple[str, list[str], tuple[str, ...], dict[str, Domain]]:
    """The layout, the domains' names, the classes' names, and every domain, by what lies in the folder."""
    listed = {p.name.removesuffix(f"_{split}.txt") for split in SPLITS for p in found(root, f"*_{split}.txt")}
    if names := sorted(listed):
        domains = {module_name(name): _listed(root, name) for name in names}
        layout, classes = "lists", _class_names(root, domains)
    else:
        not_above(root)
        names = [place.name for place in domain_folders(root)]
        if not names:
            raise DataError(f"'{root}': no domain (expected: {EXPECTED})")
        read = {name: {c.name: strictly(c) for c in folders(root / name)} for name in names}
        layout, classes = "tree", tuple(sorted({c for images in read.values() for c in images if images[c]}))
        domains = {module_name(name): _tree(root / name, classes, read[name]) for name in names}
    apart(names, "domain", root)
    apart(classes, "class", root)
    return layout, list(domains), tuple(map(utf8, classes)), domains


def _listed(root: Path, name: str) -> Domain:
    """A domain of `<name>_{train,test}.txt`."""
    lists = {split: root / f"{name}_{split}.txt" for split in SPLITS}
    rows = {split: [_row(root, path, n, line) for n, line in enumerate(lines(path, "lines 'path label'"), 1) if line.strip()]
            for split, path in lists.items()}  # fmt: skip
    for split, path in lists.items():
        if not rows[split]:
            bad(path, "empty", "lines 'path label'")
    both = {p for p, _ in rows["train"]} & {p for p, _ in rows["test"]}
    if both:
        bad(lists["test"], f"names '{min(both)}', as the training list does", "two disjoint lists")
    return Domain(
        {split: [p for p, _ in rows[split]] for split in SPLITS},
        {split: np.array([label for _, label in rows[split]], np.int64) for split in SPLITS},
        {split: (lists[split],) for split in SPLITS},
    )


def _row(root: Path, listing: Path, number: int, line: str) -> tuple[Path, int]:
    path, _, label = line.rstrip().rpartition(" ")
    if not (label.isascii() and label.isdigit() and path and len(label) < 9 and int(label) < MAX_CLASSES):
        bad(listing, f"line {number} is {line[:80]!r}", f"'path label' with a label from 0 to {MAX_CLASSES - 1}")
    return inside(root, path, listing), int(label)


def _class_names(root: Path, domains: Mapping[str, Domain]) -> tuple[str, ...]:
    """The folders' names of all labels, or numbers where a label has none; DataError where one domain lacks the shape."""
    found: dict[int, set[str]] = {}
    for domain in domains.values():
        for split in SPLITS:
            for path, label in zip(domain.files[split], domain.labels[split].tolist(), strict=True):
                found.setdefault(label, set()).add(path.parent.name)
    missing = sorted(set(range(max(found) + 1)) - set(found))
    if missing:
        bad(root, f"labels up to {max(found)}, but none is {missing[0]}", "labels 0 to classes - 1, each in some list")
    return tuple(found[i].pop() if len(found[i]) == 1 else str(i) for i in range(len(found)))


def _tree(place: Path, classes: Sequence[str], images: Mapping[str, Sequence[Path]]) -> Domain:
    """A domain of `<class>/<image>`: every fifth image of a class, in the order of names, is for testing."""
    rows: dict[str, list[tuple[Path, int]]] = {split: [] for split in SPLITS}
    for label, name in enumerate(classes):
        for index, path in enumerate(images.get(name, ())):
            rows["test" if index % HELD == HELD - 1 else "train"].append((path, label))
    for split in SPLITS:
        if not rows[split]:
            bad(place, f"no image to {split} with", f"<class>/<image>, {HELD} or more of a class")
    files = {split: [p for p, _ in rows[split]] for split in SPLITS}
    labels = {split: np.array([label for _, label in rows[split]], np.int64) for split in SPLITS}
    return Domain(files, labels, {split: tuple(files[split]) for split in SPLITS})


def domain_columns(name: str, domain: Domain, size: int) -> dict[Key, Column]:
    """A domain's images and labels; DataError where a listed image is not there."""
    columns: dict[Key, Column] = {}
    for split in SPLITS:
        files = [require(path, "a listed image") for path in domain.files[split]]
        columns[split, name, INPUT] = Column.of_files(
            f"{split}/{name}/{INPUT}",
            files,
            (size, size, 3),
            "u1",
            partial(square, size=size),
            unpack_images,
            settings=f"{size}",
        )
        columns[split, name, name] = label_column(f"{split}/{name}/label", domain.sources[split], domain.labels[split])
    return columns


def square(path: Path, size: int) -> Array:
    """An image with its shorter side resized to `size`, its centre kept: uint8 (size, size, 3)."""
    image = photo(path)
    height, width = image.shape[:2]
    if (height, width) == (size, size):
        return image
    side = min(height, width)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR, box=box))
