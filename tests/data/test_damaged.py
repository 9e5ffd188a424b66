"""Damaged inputs: each is one clear error that names the file and what was expected, before any training."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from mtlbench.data.base import Dataset
from mtlbench.data.cityscapes import CityScapes
from mtlbench.data.domains import Domains
from mtlbench.data.nyuv2 import NYUv2
from mtlbench.data.taskonomy import Taskonomy
from mtlbench.data.text import FduMtl, TextFolders
from mtlbench.errors import DataError
from tests.helpers import layouts_on_disk as disk
from tests.helpers.layouts_on_disk import TaskonomyTruth, Truth

pytestmark = pytest.mark.usefixtures("own_cache")
Damage = Callable[[Path], object]


def street(root: Path) -> Path:
    random = np.random.default_rng(0)
    shape = (disk.TRAIN + disk.TEST, 8, 16)
    images = random.integers(0, 256, (*shape, 3), dtype=np.uint8)
    return disk.cityscapes_official(root, images, random.integers(0, 34, shape), random.integers(0, 999, shape))


def place_domains(root: Path) -> Path:
    disk.domains(root)
    return root


def place_tree(root: Path) -> Path:
    disk.domains(root, lists=False)
    return root


SETS: dict[str, tuple[Callable[[Path], Path], type[Dataset], dict[str, Any]]] = {
    "nyuv2-adashare": (lambda p: disk.nyuv2_adashare(p, Truth()), NYUv2, {}),
    "nyuv2-libmtl": (lambda p: disk.libmtl(p, Truth(classes=13)), NYUv2, {}),
    "nyuv2-official": (lambda p: disk.nyuv2_matlab(p, Truth()), NYUv2, {}),
    "nyuv2-official-13": (lambda p: disk.nyuv2_matlab(p, Truth()), NYUv2, {"classes": 13}),
    "cityscapes-adashare": (lambda p: disk.cityscapes_adashare(p, Truth(classes=19)), CityScapes, {}),
    "cityscapes-libmtl": (lambda p: disk.libmtl(p, Truth(classes=7), ("label", "depth")), CityScapes, {}),
    "cityscapes-official": (street, CityScapes, {"height": 32}),
    "taskonomy": (lambda p: disk.taskonomy(p, TaskonomyTruth()), Taskonomy, {}),
    "domains": (place_domains, Domains, {"size": 16}),
    "domains-tree": (place_tree, Domains, {"size": 16}),
    "fdu-mtl": (disk.reviews, FduMtl, {"length": 16}),
    "text": (disk.tables, TextFolders, {"length": 16}),
}


# What may happen to a file.


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def nonsense(path: Path) -> None:
    path.write_bytes(b"this is not what you expect\n" * 9)


def become_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def write(content: bytes | str) -> Damage:
    return lambda path: path.write_bytes(content.encode() if isinstance(content, str) else content)


def array(values: Any, **options: Any) -> Damage:
    return lambda path: np.save(path, values, **options)


def picture(values: np.ndarray, mode: str | None = None) -> Damage:
    return lambda path: Image.fromarray(values).convert(mode or Image.fromarray(values).mode).save(path)


def npy_header(shape: str, descr: str = "'<f4'", version: bytes = b"\x01\x00") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY" + version + struct.pack("<H", len(text)) + text


def bomb(path: Path) -> None:
    """A PNG of 60000x60000 pixels in a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 16))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def listing(change: Callable[[dict[str, Any]], object]) -> Damage:
    def act(path: Path) -> None:
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))

    return act


def lines(change: Callable[[list[str]], list[str]]) -> Damage:
    return lambda path: path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")


def hdf5(change: Callable[[h5py.File], object]) -> Damage:
    def act(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            change(file)

    return act


def replaced(file: h5py.File, name: str, values: Any) -> None:
    del file[name]
    file[name] = values


def pixel(value: float, dtype: str = "f4", shape: tuple[int, ...] = (12, 16)) -> np.ndarray:
    values = np.ones(shape, dtype)
    values.flat[7] = value
    return values


SHAPE = (12, 16)
GREY, RGB = np.zeros(SHAPE, np.uint8), np.zeros((*SHAPE, 3), np.uint8)
NYU_LIST, MAT = "nyu_v2_3task.json", "nyu_depth_v2_labeled.mat"
VIEW = "hanson/point_1_view_0_domain"
PHOTO, TREE = "photo_train.txt", "photo/class 0/1.png"
STREET = "train/aachen/000001_000019_"


def unlink(path: Path) -> None:
    path.unlink()


# (data set, what happened, to which file, what the error says beside the file's name)
CASES: list[tuple[str, str, str, Damage, str]] = [
    ("nyuv2-adashare", "image cut off", "img/0001.png", cut, "no readable image"),
    ("nyuv2-adashare", "image empty", "img/0001.png", empty, "no readable image"),
    ("nyuv2-adashare", "image is text", "img/0001.png", nonsense, "no readable image"),
    ("nyuv2-adashare", "first image is text", "img/0000.png", nonsense, "no readable image"),
    ("nyuv2-adashare", "image missing", "img/0001.png", unlink, "no such file"),
    ("nyuv2-adashare", "image is a folder", "img/0001.png", become_folder, "no such file"),
    ("nyuv2-adashare", "image of another size", "img/0001.png", picture(RGB[:6]), "6x16 .*expected: a 12x16 image"),
    ("nyuv2-adashare", "image a bomb", "img/0001.png", bomb, "60000x60000|decompression bomb"),
    ("nyuv2-adashare", "first image a bomb", "img/0000.png", bomb, "60000x60000|decompression bomb"),
    ("nyuv2-adashare", "test image cut off", "img/0006.png", cut, "no readable image"),
    ("nyuv2-adashare", "labels cut off", "seg/0001.png", cut, "no readable image"),
    ("nyuv2-adashare", "labels missing", "seg/0001.png", unlink, "no such file"),
    ("nyuv2-adashare", "labels of another size", "seg/0001.png", picture(GREY.T), "16x12 .*expected: a 12x16 image"),
    ("nyuv2-adashare", "labels in colours", "seg/0001.png", picture(RGB), "mode RGB.*expected: mode L or P"),
    ("nyuv2-adashare", "label 40", "seg/0001.png", picture(GREY + 40), "label 40 .*classes 0 to 39, or -1 or 255"),
    ("nyuv2-adashare", "label 254", "seg/0007.png", picture(GREY + 254), "label 254 .*classes 0 to 39"),
    ("nyuv2-adashare", "labels of 16 bits", "seg/0001.png", picture(GREY.astype("u2")), "expected: mode L or P"),
    ("nyuv2-adashare", "labels an array", "seg/0001.png", write(npy_header("(2,)")), "no readable image"),
    ("nyuv2-adashare", "normals grey", "normal_mask/0001.png", picture(GREY), "mode L.*expected: mode RGB"),
    ("nyuv2-adashare", "normals with alpha", "normal_mask/0001.png", picture(RGB, "RGBA"), "expected: mode RGB"),
    ("nyuv2-adashare", "normals of another size", "normal_mask/0001.png", picture(RGB[1:]), "11x16 .*12x16"),
    ("nyuv2-adashare", "normals cut off", "normal_mask/0001.png", cut, "no readable image"),
    ("nyuv2-adashare", "normals missing", "normal_mask/0001.png", unlink, "no such file"),
    ("nyuv2-adashare", "depth cut off", "depth/0001.npy", cut, "384 bytes|bytes where its header promises 768|no .npy"),
    ("nyuv2-adashare", "depth empty", "depth/0001.npy", empty, "no .npy array"),
    ("nyuv2-adashare", "depth is text", "depth/0001.npy", nonsense, "no .npy array"),
    ("nyuv2-adashare", "depth missing", "depth/0001.npy", unlink, "no such file"),
    ("nyuv2-adashare", "depth is a folder", "depth/0001.npy", become_folder, "no such file"),
    ("nyuv2-adashare", "depth an image", "depth/0001.npy", lambda p: Image.new("L", (16, 12)).save(p, "PNG"), "no .npy"),
    ("nyuv2-adashare", "depth transposed", "depth/0001.npy", array(np.ones((16, 12), "f4")), "16x12 .*a 12x16 .npy"),
    ("nyuv2-adashare", "depth a scalar", "depth/0001.npy", array(np.float32(1)), "shape of a scalar .*a 12x16 .npy"),
    ("nyuv2-adashare", "depth of integers", "depth/0001.npy", array(np.ones(SHAPE, "i4")), "int32 .*real numbers"),
    ("nyuv2-adashare", "depth complex", "depth/0001.npy", array(np.ones(SHAPE, "c8")), "complex64 .*real numbers"),
    ("nyuv2-adashare", "depth of text", "depth/0001.npy", array(np.full(SHAPE, "x")), "dtype <U1 .*real numbers"),
    ("nyuv2-adashare", "depth a pickle", "depth/0001.npy", array(np.full(SHAPE, None)), "no .npy array.*object"),
    ("nyuv2-adashare", "depth a record", "depth/0001.npy", array(np.zeros(SHAPE, "f4,i4")), "no .npy array"),
    ("nyuv2-adashare", "depth negative", "depth/0001.npy", array(pixel(-1)), "depth -1 .*0 to 20 metres"),
    ("nyuv2-adashare", "depth in millimetres", "depth/0001.npy", array(pixel(3000)), "depth 3000 .*0 to 20 metres"),
    ("nyuv2-adashare", "depth infinite", "depth/0001.npy", array(pixel(np.inf)), "depth inf .*0 to 20 metres"),
    ("nyuv2-adashare", "depth with a tail", "depth/0001.npy", lambda p: p.write_bytes(p.read_bytes() + b"x"), "769 bytes"),
    ("nyuv2-adashare", "huge header", "depth/0001.npy", write(npy_header("(99999999, 99999999)")), "99999999x99999999"),
    ("nyuv2-adashare", "overflowing header", "depth/0001.npy", write(npy_header(f"({2**62}, 4)")), f"{2**62}x4"),
    ("nyuv2-adashare", "header without data", "depth/0001.npy", write(npy_header("(12, 16)")), "0 bytes where"),
    ("nyuv2-adashare", "negative shape", "depth/0001.npy", write(npy_header("(-12, 16)")), "no .npy array"),
    ("nyuv2-adashare", "shape of text", "depth/0001.npy", write(npy_header("('a', 2)")), "no .npy array"),
    ("nyuv2-adashare", "unknown dtype", "depth/0001.npy", write(npy_header("(12, 16)", "'zz'")), "no .npy array"),
    ("nyuv2-adashare", "version 9", "depth/0001.npy", write(npy_header("(1,)", version=b"\x09\x00")), "no .npy array"),
    ("nyuv2-adashare", "code in the header", "depth/0001.npy", write(npy_header("exit()")), "no .npy array"),
    ("nyuv2-adashare", "list cut off", NYU_LIST, cut, "not JSON"),
    ("nyuv2-adashare", "list empty", NYU_LIST, empty, "not JSON"),
    ("nyuv2-adashare", "list binary", NYU_LIST, write(bytes(99)), "not JSON"),
    ("nyuv2-adashare", "list nested deeply", NYU_LIST, write("[" * 100_000), "not JSON"),
    ("nyuv2-adashare", "list is an array", NYU_LIST, write("[1, 2]"), "no list 'train'"),
    ("nyuv2-adashare", "no train", NYU_LIST, listing(lambda c: c.pop("train")), "no list 'train'"),
    ("nyuv2-adashare", "no test", NYU_LIST, listing(lambda c: c.pop("test")), "no list 'test'"),
    ("nyuv2-adashare", "train empty", NYU_LIST, listing(lambda c: c["train"].clear()), "list 'train' is empty"),
    ("nyuv2-adashare", "train a number", NYU_LIST, listing(lambda c: c.update(train=3)), "no list 'train'"),
    ("nyuv2-adashare", "group of three", NYU_LIST, listing(lambda c: c["train"][2].pop()), "4 paths"),
    ("nyuv2-adashare", "group of five", NYU_LIST, listing(lambda c: c["test"][2].append("x")), "4 paths"),
    ("nyuv2-adashare", "group a text", NYU_LIST, listing(lambda c: c["train"].append("abcd")), "'train' holds abcd"),
    ("nyuv2-adashare", "path a number", NYU_LIST, listing(lambda c: c["train"][2].__setitem__(1, 7)), "names '7'"),
    ("nyuv2-adashare", "path a list", NYU_LIST, listing(lambda c: c["train"][2].__setitem__(0, [])), r"names '\[\]'"),
    ("nyuv2-adashare", "path null", NYU_LIST, listing(lambda c: c["train"][2].__setitem__(3, None)), "names 'None'"),
    ("nyuv2-adashare", "half a character", NYU_LIST,
     listing(lambda c: c["train"][2].__setitem__(2, "\ud800")), "names '.*paths relative"),
    ("nyuv2-adashare", "long name", NYU_LIST,
     listing(lambda c: c["train"][2].__setitem__(2, "é" * 200)), "File name too long"),
    ("nyuv2-adashare", "path empty", NYU_LIST, listing(lambda c: c["train"][2].__setitem__(3, "")), "names ''"),
    ("nyuv2-adashare", "path absolute", NYU_LIST,
     listing(lambda c: c["train"][2].__setitem__(0, "/etc/passwd")), "'/etc/passwd', which lies outside the folder"),
    ("nyuv2-adashare", "path climbing", NYU_LIST,
     listing(lambda c: c["train"][2].__setitem__(0, "img/../../x.png")), "which lies outside the folder"),
    ("nyuv2-adashare", "path with a null byte", NYU_LIST,
     listing(lambda c: c["train"][2].__setitem__(0, "a\0b")), "names .*paths relative"),
    ("nyuv2-adashare", "path too long", NYU_LIST,
     listing(lambda c: c["train"][2].__setitem__(0, "a" * 5000)), "names 'aaaa.*paths relative"),
    ("nyuv2-adashare", "train1 names a stranger", NYU_LIST,
     listing(lambda c: c["train1"].append(c["test"][0])), "'train1' names 'img/0005.png', which 'train' does not"),
    ("nyuv2-adashare", "train1 and train2 overlap", NYU_LIST,
     listing(lambda c: c["train1"].append(c["train2"][0])), "'train1' and 'train2' share images"),
    ("nyuv2-adashare", "no train2", NYU_LIST, listing(lambda c: c.pop("train2")), "no list 'train2'"),
    ("nyuv2-adashare", "train and test overlap", NYU_LIST,
     listing(lambda c: c["test"].append(c["train"][0])), "'train' and 'test' share 'img/0000.png'"),
    ("nyuv2-libmtl", "labels missing", "train/label/2.npy", unlink, "no such file .expected: the segmentation of"),
    ("nyuv2-libmtl", "depth missing in val", "val/depth/2.npy", unlink, "no such file .expected: the depth of"),
    ("nyuv2-libmtl", "images missing in val", "val/image",
     lambda p: [f.unlink() for f in p.iterdir()], "empty .expected: <number>.npy files"),
    ("nyuv2-libmtl", "val missing", "val/image", lambda p: p.parent.rename(p.parents[1] / "v"), "no such folder"),
    ("nyuv2-libmtl", "image in bytes", "train/image/1.npy", array(RGB), "uint8 .*real numbers"),
    ("nyuv2-libmtl", "image to 255", "train/image/1.npy", array(pixel(255, shape=(12, 16, 3))), r"value 255 .*\[0, 1\]"),
    ("nyuv2-libmtl", "image not a number", "train/image/1.npy", array(pixel(np.nan, shape=(12, 16, 3))), "value nan"),
    ("nyuv2-libmtl", "image channels first", "train/image/1.npy", array(np.ones((3, 12, 16), "f4")), "3x12x16 .*12x16x3"),
    ("nyuv2-libmtl", "first image flat", "train/image/0.npy", array(np.ones((12, 16), "f4")), r"12x16 .*a \?x\?x3"),
    ("nyuv2-libmtl", "label 13", "train/label/1.npy", array(pixel(13)), "label 13.* .*classes 0 to 12, or -1"),
    ("nyuv2-libmtl", "label -2", "train/label/1.npy", array(pixel(-2)), "label -2.* .*classes 0 to 12"),
    ("nyuv2-libmtl", "label 1.5", "train/label/1.npy", array(pixel(1.5)), "label 1.5 .*classes 0 to 12"),
    ("nyuv2-libmtl", "label not a number", "train/label/1.npy", array(pixel(np.nan)), "label nan .*classes 0 to 12"),
    ("nyuv2-libmtl", "label of 300", "train/label/1.npy", array(pixel(300, "i8")), "label 300 .*classes 0 to 12"),
    ("nyuv2-libmtl", "labels of booleans", "train/label/1.npy", array(np.ones(SHAPE, bool)), "dtype bool"),
    ("nyuv2-libmtl", "depth flat", "train/depth/1.npy", array(np.ones(SHAPE, "f4")), "12x16 .*a 12x16x1 .npy"),
    ("nyuv2-libmtl", "depth negative", "val/depth/1.npy", array(pixel(-2, shape=(12, 16, 1))), "depth -2"),
    ("nyuv2-libmtl", "normals not unit", "train/normal/1.npy", array(np.ones((12, 16, 3), "f4")), "length 1.73"),
    ("nyuv2-libmtl", "normals in bytes", "train/normal/1.npy", array(RGB), "dtype uint8"),
    ("nyuv2-libmtl", "normals cut off", "train/normal/1.npy", cut, "bytes where its header promises"),
    ("nyuv2-official", "file cut off", MAT, cut, "no readable HDF5 content"),
    ("nyuv2-official", "file empty", MAT, empty, "no readable HDF5 content"),
    ("nyuv2-official", "file is text", MAT, nonsense, "no readable HDF5 content"),
    ("nyuv2-official", "old MATLAB format", MAT, lambda p: savemat(p, {"images": 1}), "no readable HDF5 content"),
    ("nyuv2-official", "no images", MAT, hdf5(lambda f: f.pop("images")), "no readable HDF5 content.*images"),
    ("nyuv2-official", "no labels", MAT, hdf5(lambda f: f.pop("labels")), "no readable HDF5 content.*labels"),
    ("nyuv2-official", "no depths", MAT, hdf5(lambda f: f.pop("depths")), "no readable HDF5 content.*depths"),
    ("nyuv2-official", "images a group", MAT,
     hdf5(lambda f: (f.pop("images"), f.create_group("images"))), "no readable HDF5 content"),
    ("nyuv2-official", "images untransposed", MAT,
     hdf5(lambda f: replaced(f, "images", np.zeros((8, 12, 16, 3), "u1"))), r"images of shape \(8, 12, 16, 3\)"),
    ("nyuv2-official", "images none", MAT,
     hdf5(lambda f: replaced(f, "images", np.zeros((0, 3, 16, 12), "u1"))), r"images of shape \(0, 3, 16, 12\)"),
    ("nyuv2-official", "images huge", MAT,
     hdf5(lambda f: (f.pop("images"), f.create_dataset("images", (8, 3, 99999, 99999), "u1", chunks=True))),
     r"images of shape \(8, 3, 99999, 99999\)"),
    ("nyuv2-official", "images of reals", MAT,
     hdf5(lambda f: replaced(f, "images", np.zeros((8, 3, 16, 12), "f4"))), "kinds of numbers"),
    ("nyuv2-official", "depths of another count", MAT,
     hdf5(lambda f: replaced(f, "depths", np.zeros((7, 16, 12), "f4"))), r"depths of shape \(7, 16, 12\)"),
    ("nyuv2-official", "labels of another size", MAT,
     hdf5(lambda f: replaced(f, "labels", np.zeros((8, 12, 16), "u2"))), r"labels of shape \(8, 12, 16\)"),
    ("nyuv2-official", "label 895", MAT, hdf5(lambda f: f["labels"].__setitem__((3, 0, 0), 895)), "label 895 .*0 to 894"),
    ("nyuv2-official", "depth negative", MAT, hdf5(lambda f: f["depths"].__setitem__((3, 0, 0), -1)), "depth -1"),
    ("nyuv2-official", "no splits", "splits.mat", unlink, "no such file .expected: the official splits"),
    ("nyuv2-official", "splits cut off", "splits.mat", cut, "no variable"),
    ("nyuv2-official", "splits are text", "splits.mat", nonsense, "no variable 'trainNdxs'"),
    ("nyuv2-official", "splits without test", "splits.mat",
     lambda p: savemat(p, {"trainNdxs": [[1]]}), "no variable 'testNdxs'"),
    ("nyuv2-official", "image 0", "splits.mat",
     lambda p: savemat(p, {"trainNdxs": [[0]], "testNdxs": [[1]]}), "trainNdxs does not number images.*1 to 8"),
    ("nyuv2-official", "image 9", "splits.mat",
     lambda p: savemat(p, {"trainNdxs": [[1]], "testNdxs": [[9]]}), "testNdxs does not number images.*1 to 8"),
    ("nyuv2-official", "split of text", "splits.mat",
     lambda p: savemat(p, {"trainNdxs": "abc", "testNdxs": [[1]]}), "no variable 'trainNdxs' of numbers"),
    ("nyuv2-official", "split empty", "splits.mat",
     lambda p: savemat(p, {"trainNdxs": np.zeros((0, 1)), "testNdxs": [[1]]}), "trainNdxs does not number images"),
    ("nyuv2-official", "splits overlap", "splits.mat",
     lambda p: savemat(p, {"trainNdxs": [[1]], "testNdxs": [[1]]}), "trainNdxs and testNdxs share images"),
    ("nyuv2-official", "no mapping", "classMapping40.mat", unlink, "no such file .expected: the 894 -> 40 mapping"),
    ("nyuv2-official", "mapping to 41", "classMapping40.mat",
     lambda p: savemat(p, {"mapClass": np.full((1, 894), 41)}), "entries outside the classes .*1 to 40"),
    ("nyuv2-official", "mapping of names", "classMapping40.mat", lambda p: savemat(p, {"mapClass": "wall"}), "no variable"),
    ("nyuv2-official", "mapping too short", "classMapping40.mat",
     lambda p: savemat(p, {"mapClass": np.full((1, 3), 1)}), "label [0-9]+ .*0 to 3"),
    ("nyuv2-official-13", "second mapping flat", "class13Mapping.mat",
     lambda p: savemat(p, {"classMapping13": np.ones((1, 40))}), "no structure|entries|1 to 13|0 entries"),
    ("nyuv2-official-13", "second mapping short", "class13Mapping.mat",
     lambda p: savemat(p, {"classMapping13": {"labels": np.ones((1, 7))}}), "7 entries .expected: 40"),
    ("cityscapes-adashare", "group of four", "cityscape.json", listing(lambda c: c["train"][1].pop()), "5 paths"),
    ("cityscapes-adashare", "path climbing", "cityscape.json",
     listing(lambda c: c["test"][1].__setitem__(4, "../x.npy")), "lies outside the folder"),
    ("cityscapes-adashare", "label 19", "label_19/1.npy", array(pixel(19, "i8")), "label 19 .*classes 0 to 18, or -1"),
    ("cityscapes-adashare", "image to 256", "image/1.npy", array(pixel(256, shape=(12, 16, 3))), r"value 256 .*\[0, 1\]"),
    ("cityscapes-adashare", "depth -2", "depth/1.npy", array(pixel(-2)), "depth -2 .*inverse depth"),
    ("cityscapes-adashare", "depth missing", "depth/1.npy", unlink, "no such file .expected: the depth of an image;"),
    ("cityscapes-adashare", "image of another size", "image/6.npy", array(np.ones((2, 16, 3), "f4")), "2x16x3 .*12x16x3"),
    ("cityscapes-libmtl", "label 7", "val/label/1.npy", array(pixel(7)), "label 7.* .*classes 0 to 6"),
    ("cityscapes-libmtl", "label missing", "val/label/1.npy", unlink, "no such file .expected: the segmentation of"),
    ("cityscapes-libmtl", "depth huge", "train/depth/1.npy", array(pixel(5000, shape=(12, 16, 1))), "depth 5000"),
    ("cityscapes-official", "labels missing", f"gtFine/{STREET}gtFine_labelIds.png", unlink, "the segmentation of"),
    ("cityscapes-official", "disparity missing", f"disparity/{STREET}disparity.png", unlink, "the depth of"),
    ("cityscapes-official", "label 34", f"gtFine/{STREET}gtFine_labelIds.png",
     picture(np.full((8, 16), 34, np.uint8)), "label 34 .*0 to 33, or 255"),
    ("cityscapes-official", "labels in colours", f"gtFine/{STREET}gtFine_labelIds.png",
     picture(np.zeros((8, 16, 3), np.uint8)), "expected: mode L"),
    ("cityscapes-official", "disparity of 8 bits", f"disparity/{STREET}disparity.png",
     picture(np.zeros((8, 16), np.uint8)), "mode L.*expected: mode I;16 or I"),
    ("cityscapes-official", "image square", f"leftImg8bit/{STREET}leftImg8bit.png",
     picture(np.zeros((8, 8, 3), np.uint8)), "8x8 .*twice as wide as high"),
    ("cityscapes-official", "val empty", "leftImg8bit/val",
     lambda p: p.rename(p.parent / "other"), "no image .expected: <city>/<image>_leftImg8bit.png"),
    ("taskonomy", "depth missing", "depth_zbuffer/hanson_depth_zbuffer/point_1_view_0_domain_depth_zbuffer.png",
     unlink, "no such file .expected: the depth of"),
    ("taskonomy", "label 18", "segment_semantic/hanson_segment_semantic/point_1_view_0_domain_segment_semantic.png",
     picture(np.full((12, 12), 18, np.uint8)), "label 17 .*classes 0 to 16"),
    ("taskonomy", "depth in colours", "depth_zbuffer/hanson_depth_zbuffer/point_1_view_0_domain_depth_zbuffer.png",
     picture(np.zeros((12, 12, 3), np.uint8)), "expected: mode I;16 or I"),
    ("taskonomy", "edges of 8 bits", "edge_texture/ihlen_edge_texture/point_6_view_0_domain_edge_texture.png",
     picture(np.zeros((12, 12), np.uint8)), "expected: mode I;16 or I"),
    ("taskonomy", "normals of another size", "normal/hanson_normal/point_1_view_0_domain_normal.png",
     picture(RGB), "12x16 .*12x12"),
    ("taskonomy", "keypoints cut off", "keypoints2d/hanson_keypoints2d/point_1_view_0_domain_keypoints2d.png",
     cut, "no readable image"),
    ("domains", "image cut off", TREE, cut, "no readable image"),
    ("domains", "image missing", TREE, unlink, "no such file"),
    ("domains", "image a bomb", TREE, bomb, "60000x60000|decompression bomb"),
    ("domains", "list empty", PHOTO, empty, "empty .expected: lines 'path label'"),
    ("domains", "list binary", PHOTO, write(bytes(9)), "binary content"),
    ("domains", "no test list", "photo_test.txt", unlink, "no such file"),
    ("domains", "no label", PHOTO, lines(lambda x: ["photo/a.png", *x]), "line 1 is 'photo/a.png'"),
    ("domains", "label of text", PHOTO, lines(lambda x: [*x, "photo/a.png dog"]), "line 13 is 'photo/a.png dog'"),
    ("domains", "label negative", PHOTO, lines(lambda x: ["photo/a.png -1", *x]), "line 1 is"),
    ("domains", "label huge", PHOTO, lines(lambda x: ["photo/a.png 99999999999999999999", *x]), "line 1 is"),
    ("domains", "label of other digits", PHOTO, lines(lambda x: ["photo/a.png ²", *x]), "line 1 is"),
    ("domains", "path absolute", PHOTO, lines(lambda x: ["/etc/passwd 0", *x]), "'/etc/passwd', which lies outside"),
    ("domains", "path climbing", PHOTO, lines(lambda x: ["../../a.png 0", *x]), "which lies outside the folder"),
    ("domains", "lists overlap", "photo_test.txt", lines(lambda x: [*x, "photo/class 0/0.png 0"]), "disjoint lists"),
    ("domains", "a label left out", ".", lambda p: (p / PHOTO).write_text("photo/class 0/0.png 7\n"), "none is 3"),
    ("domains-tree", "too few images", "photo",
     lambda p: [f.unlink() for f in p.glob("*/4.png")], "no image to test with"),
    ("domains-tree", "image is text", TREE, nonsense, "no readable image"),
    ("fdu-mtl", "no tab", "dvd.task.train", lines(lambda x: [*x, "1 good"]), "line 7 is '1 good'"),
    ("fdu-mtl", "label 2", "dvd.task.train", lines(lambda x: ["2\tgood", *x]), "line 1 is '2.tgood'"),
    ("fdu-mtl", "label of text", "dvd.task.test", lines(lambda x: ["good\tgood", *x]), "line 1 is"),
    ("fdu-mtl", "file empty", "dvd.task.train", empty, "empty .expected: labelled texts"),
    ("fdu-mtl", "no test file", "dvd.task.test", unlink, "no such file"),
    ("fdu-mtl", "binary", "dvd.task.test", write(b"0\ta\0b\n"), "binary content"),
    ("fdu-mtl", "one class only", "dvd.task.train", write("1\ta\n1\tb\n"), "labels .1. .expected: two or more"),
    ("fdu-mtl", "test file a folder", "dvd.task.test", become_folder, "no such file"),
    ("text", "label 0", "ag/train.csv", lines(lambda x: ['"0","a","b"', *x]), "line 1 has label 0 .*1 to"),
    ("text", "label of text", "ag/train.csv", lines(lambda x: ['"good","a","b"', *x]), "line 1 begins 'good,a,b'"),
    ("text", "one column", "ag/train.csv", lines(lambda x: ['"1"', *x]), "line 1 begins '1'"),
    ("text", "quote never closed", "ag/test.csv", lines(lambda x: [*x, '"1","a']), "unexpected end of data"),
    ("text", "quote inside", "ag/test.csv", lines(lambda x: ['"1","a" b"', *x]), "line 1: "),
    ("text", "an endless line", "ag/test.csv", write('"1","' + "a" * (1 << 24) + '"\n'), "a line of more than"),
    ("text", "file empty", "ag/test.csv", empty, "empty"),
    ("text", "no test file", "ag/test.csv", unlink, "no such file"),
    ("text", "test label unknown", "ag/test.csv", write('"4","a"\n'), "label 3 .*the 3 classes of"),
    ("text", "a label left out", "ag/train.csv", write('"1","a"\n"3","a"\n'), "none left out"),
    ("text", "label huge", "ag/train.csv", write('"99999999","a"\n'), "has label 99999999"),
    ("text", "binary", "ag/train.csv", write(b'"1","\0"\n'), "binary content"),
]  # fmt: skip


def test_there_are_a_hundred_cases_and_none_twice() -> None:
    assert len(CASES) >= 100
    assert len({case[:2] for case in CASES}) == len(CASES)


@pytest.mark.parametrize("name", SETS)
def test_undamaged_sets_open(tmp_path: Path, name: str) -> None:
    writer, kind, options = SETS[name]
    kind(kind.Options(**options), writer(tmp_path / "d"), None)


@pytest.mark.parametrize(
    ("name", "file", "damage", "message"),
    [pytest.param(name, file, act, message, id=f"{name}: {what}") for name, what, file, act, message in CASES],
)
def test_a_damaged_input_is_one_clear_error(tmp_path: Path, name: str, file: str, damage: Damage, message: str) -> None:
    writer, kind, options = SETS[name]
    root = writer(tmp_path / "d")
    damage(root / file)
    with pytest.raises(DataError, match=message) as caught:
        kind(kind.Options(**options), root, None)
    text = str(caught.value)
    assert (root / file).name in text
    assert "expected: " in text
    assert len(text) < 1500


def test_no_error_runs_over_a_line(tmp_path: Path) -> None:
    root = disk.reviews(tmp_path / "d")
    (root / "dvd.task.train").write_text("1\ta\r\n\x0b\x0c\x85\u2028bad\n")
    with pytest.raises(DataError) as caught:
        FduMtl(FduMtl.Options(), root, None)
    assert len(str(caught.value).splitlines()) == 1


def test_a_pickle_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    buffer = io.BytesIO()
    np.save(buffer, np.full(SHAPE, Trap()), allow_pickle=True)
    root = disk.nyuv2_adashare(tmp_path / "d", Truth())
    (root / "depth/0001.npy").write_bytes(buffer.getvalue())
    with pytest.raises(DataError):
        NYUv2(NYUv2.Options(), root, None)
    assert not (tmp_path / "sprung").exists()
