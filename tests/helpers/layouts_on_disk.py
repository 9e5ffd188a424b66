"""Small data sets written in the layouts that users have, from one truth, for tests of the readers.

A truth holds what a reader has to give back: images (N, H, W, 3) uint8, labels with -1 and NaN where nothing is labelled.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

TRAIN, TEST = 5, 3


@dataclass
class Truth:
    """`count` scenes of `size`; the first TRAIN are for training."""

    size: tuple[int, int] = (12, 16)
    classes: int = 40
    count: int = TRAIN + TEST
    seed: int = 0
    fields: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        shape = (self.count, *self.size)
        self.fields["image"] = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
        self.fields["segmentation"] = random.integers(-1, self.classes, shape)
        # Multiples of 1/64 m fit every float that a layout uses.
        depth = random.integers(0, 640, shape) / 64
        self.fields["depth"] = np.where(depth == 0, np.nan, depth).astype(np.float32)
        codes = random.integers(0, 256, (*shape, 3), dtype=np.uint8)  # x, y, z
        codes[random.random(shape) < 0.1] = 255
        self.fields["codes"] = codes
        vectors = codes / 127.5 - 1.0
        vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
        vectors[(codes == 255).all(-1)] = np.nan
        self.fields["normals"] = vectors.astype(np.float32)

    def split(self, name: str, split: str) -> np.ndarray:
        """A field's rows of "train" or "test"."""
        return self.fields[name][:TRAIN] if split == "train" else self.fields[name][TRAIN:]


def png(path: Path, values: np.ndarray) -> Path:
    """A lossless picture: uint8 (H, W[, 3]), or 16 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)
    return path


def npy(path: Path, values: Any) -> Path:
    """An array file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, values)
    return path


def write_json(path: Path, content: Any) -> Path:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def _stored_classes(labels: np.ndarray) -> np.ndarray:
    return np.where(labels < 0, 255, labels).astype(np.uint8)


def _zeros(values: np.ndarray) -> np.ndarray:
    return np.nan_to_num(values).astype(np.float32)


def nyuv2_adashare(root: Path, truth: Truth) -> Path:
    """AdaShare's list; images as PNG, so that pixels are exact. train2 is the last training image."""
    groups = []
    for i in range(truth.count):
        codes = truth.fields["codes"][i]
        png(root / f"img/{i:04}.png", truth.fields["image"][i])
        png(root / f"seg/{i:04}.png", _stored_classes(truth.fields["segmentation"][i]))
        png(root / f"normal_mask/{i:04}.png", np.ascontiguousarray(codes[..., [0, 2, 1]]))  # R, G, B are x, z, y
        npy(root / f"depth/{i:04}.npy", _zeros(truth.fields["depth"][i]))
        groups.append([f"img/{i:04}.png", f"seg/{i:04}.png", f"normal_mask/{i:04}.png", f"depth/{i:04}.npy"])
    train, test = groups[:TRAIN], groups[TRAIN:]
    write_json(root / "nyu_v2_3task.json", {"train": train, "train1": train[:-1], "train2": train[-1:], "test": test})
    return root


def libmtl(root: Path, truth: Truth, fields: Sequence[str] = ("label", "depth", "normal")) -> Path:
    """{train,val}/{image,label,depth,normal}/<i>.npy."""
    for split, folder in (("train", "train"), ("test", "val")):
        for i, image in enumerate(truth.split("image", split)):
            place = root / folder
            npy(place / f"image/{i}.npy", (image / 255).astype(np.float32))
            if "label" in fields:
                npy(place / f"label/{i}.npy", truth.split("segmentation", split)[i].astype(np.float32))
            if "depth" in fields:
                npy(place / f"depth/{i}.npy", _zeros(truth.split("depth", split)[i])[..., None])
            if "normal" in fields:
                npy(place / f"normal/{i}.npy", _zeros(truth.split("normals", split)[i]))
    return root


def nyuv2_matlab(root: Path, truth: Truth, names: int = 894) -> Path:
    """The official file in MATLAB's transposed order, its splits, and mappings of `names` labels to 40 and 13 classes.

    Label n of the file is class (n - 1) % 40 of the truth, so each class has many names, as in the real mapping.
    """
    import h5py
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    labels = truth.fields["segmentation"]
    names_of = labels + 1 + 40 * random.integers(0, (names - 40) // 40, labels.shape)
    with h5py.File(root / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = truth.fields["image"].transpose(0, 3, 2, 1)  # (N, H, W, 3) -> (N, 3, W, H)
        file["depths"] = _zeros(truth.fields["depth"]).transpose(0, 2, 1)
        file["labels"] = np.where(labels < 0, 0, names_of).astype(np.uint16).transpose(0, 2, 1)
    column = np.arange(1, truth.count + 1, dtype=np.uint16)[:, None]
    savemat(root / "splits.mat", {"trainNdxs": column[:TRAIN], "testNdxs": column[TRAIN:]})
    savemat(root / "classMapping40.mat", {"mapClass": (np.arange(names) % 40 + 1).astype(np.uint8)[None]})
    thirteen = {"labels": (np.arange(40) % 13 + 1).astype(np.uint8)[None], "names": np.array(["x"], object)}
    savemat(root / "class13Mapping.mat", {"classMapping13": thirteen})
    return root


def coarse(labels: np.ndarray, classes: int) -> np.ndarray:
    """Labels at another granularity: void stays void."""
    return np.where(labels < 0, -1, labels % classes)


def cityscapes_adashare(root: Path, truth: Truth, unit: bool = True) -> Path:
    """AdaShare's list of arrays; the truth has 19 classes."""
    groups = []
    for i in range(truth.count):
        image, labels = truth.fields["image"][i], truth.fields["segmentation"][i]
        npy(root / f"image/{i}.npy", (image / 255).astype(np.float32) if unit else image)
        npy(root / f"depth/{i}.npy", _zeros(truth.fields["depth"][i]))
        for classes in (2, 7, 19):
            npy(root / f"label_{classes}/{i}.npy", coarse(labels, classes).astype(np.int64))
        groups.append([f"image/{i}.npy", f"depth/{i}.npy", *(f"label_{n}/{i}.npy" for n in (2, 7, 19))])
    write_json(root / "cityscape.json", {"train": groups[:TRAIN], "test": groups[TRAIN:]})
    return root


def cityscapes_official(root: Path, images: np.ndarray, ids: np.ndarray, disparities: np.ndarray) -> Path:
    """The official tree: uint8 (N, H, 2H, 3), labelIds (N, H, 2H), 16-bit disparities."""
    for i, image in enumerate(images):
        city = f"{'train' if i < TRAIN else 'val'}/{'aachen' if i % 2 else 'bonn'}/{i:06}_000019_"
        png(root / f"leftImg8bit/{city}leftImg8bit.png", image)
        png(root / f"gtFine/{city}gtFine_labelIds.png", ids[i].astype(np.uint8))
        png(root / f"disparity/{city}disparity.png", disparities[i].astype(np.uint16))
    return root


@dataclass
class TaskonomyTruth:
    """The files' own values: `segments` 0 to 17, 16-bit depth, keypoints and edges."""

    size: tuple[int, int] = (12, 12)
    seed: int = 0
    fields: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        random = np.random.default_rng(self.seed)
        shape = (TRAIN + TEST, *self.size)
        self.fields["rgb"] = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
        self.fields["segment_semantic"] = random.integers(0, 18, shape).astype(np.uint8)
        self.fields["normal"] = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
        self.fields["depth_zbuffer"] = random.integers(0, 1 << 16, shape).astype(np.uint16)
        self.fields["keypoints2d"] = random.integers(0, 1000, shape).astype(np.uint16)
        self.fields["edge_texture"] = random.integers(0, 8000, shape).astype(np.uint16)


def taskonomy(root: Path, truth: TaskonomyTruth, listed: bool = False) -> Path:
    """The tree, of one training building (hanson) and one of the official test buildings (ihlen); with the list too."""
    groups = []
    for i in range(TRAIN + TEST):
        building = "hanson" if i < TRAIN else "ihlen"
        group = []
        for domain, values in truth.fields.items():
            name = f"{domain}/{building}_{domain}/point_{i}_view_0_domain_{domain}.png"
            png(root / name, values[i])
            group.append(name)
        groups.append(group)
    if listed:
        write_json(root / "taskonomy.json", {"train": groups[:TRAIN], "test": groups[TRAIN:]})
    return root


def domains(
    root: Path,
    names: Sequence[str] = ("photo", "sketch"),
    classes: int = 3,
    each: int = 5,
    size: tuple[int, int] = (16, 16),
    lists: bool = True,
) -> Mapping[str, np.ndarray]:
    """<domain>/<class>/<i>.png with `each` images a class, the last of which is listed for testing; the images by path."""
    random = np.random.default_rng(0)
    images: dict[str, np.ndarray] = {}
    for domain in names:
        listing: dict[str, list[str]] = {"train": [], "test": []}
        for label in range(classes):
            for i in range(each):
                name = f"{domain}/class {label}/{i}.png"
                images[name] = random.integers(0, 256, (*size, 3), dtype=np.uint8)
                png(root / name, images[name])
                listing["test" if i == each - 1 else "train"].append(f"{name} {label}")
        for split, lines in listing.items():
            if lists:
                (root / f"{domain}_{split}.txt").write_text("\n".join(lines) + "\n")
    return images


def reviews(root: Path, tasks: Sequence[str] = ("books", "dvd"), count: int = 6) -> Path:
    """fdu-mtl's files; text i of a task is "<task> i"."""
    root.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        for split in ("train", "test"):
            lines = [f"{i % 2}\t{task} {i}" for i in range(count)]
            (root / f"{task}.task.{split}").write_text("\n".join(lines) + "\n")
    return root


def tables(root: Path, tasks: Sequence[str] = ("ag", "dbpedia"), classes: int = 3, count: int = 6) -> Path:
    """<task>/{train,test}.csv with titles and texts."""
    for task in tasks:
        (root / task).mkdir(parents=True, exist_ok=True)
        for split in ("train", "test"):
            with (root / task / f"{split}.csv").open("w", newline="") as file:
                writer = csv.writer(file, quoting=csv.QUOTE_ALL)
                writer.writerows([i % classes + 1, f'"{task}", {i}', "a\nb"] for i in range(count))
    return root
