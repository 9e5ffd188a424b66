"""Fuzzed readers: whatever the bytes are, a reader gives values of the promised form or a DataError, and nothing else."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from mtlbench.data import domains, text
from mtlbench.data.disk.files import array
from mtlbench.data.disk.images import FORMATS, label_image, photo
from mtlbench.data.disk.layouts import listed
from mtlbench.data.disk.matlab5 import variable
from mtlbench.data.disk.nyuv2_matlab import MATLAB, matlab
from mtlbench.errors import DataError

SIZE = (6, 8)
fuzzed = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def saved(save: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    save(buffer)
    return buffer.getvalue()


def picture(values: np.ndarray, kind: str) -> bytes:
    return saved(lambda b: Image.fromarray(values).save(b, kind))


RANDOM = np.random.default_rng(0)
COLOURS = RANDOM.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
PICTURES = (
    *(picture(COLOURS, kind) for kind in FORMATS),
    picture(COLOURS[..., 0], "PNG"),
    picture(COLOURS[..., 0].astype(np.uint16), "PNG"),
)
ARRAYS = tuple(
    saved(lambda b, d=dtype: np.save(b, np.ones(SIZE, d))) for dtype in ("f2", "f4", ">f8", "i8", "u1", "c8", "S3", "?")
)


@st.composite
def mutated(draw: st.DrawFn, originals: tuple[bytes, ...]) -> bytes:
    """One of the originals with bytes changed, cut out or put in; or bytes of any kind."""
    data = bytearray(draw(st.sampled_from((*originals, b""))))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, len(data)))
        length = draw(st.integers(0, 12))
        data[place : place + length] = draw(st.binary(max_size=12))
    return bytes(data)


def check(read: Callable[[], Any]) -> Any:
    """What is read, or None after a DataError on one line."""
    try:
        return read()
    except DataError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    return None


@fuzzed
@given(data=mutated(PICTURES))
def test_pictures(scratch: Path, data: bytes) -> None:
    path = scratch / "picture"
    path.write_bytes(data)
    colours = check(lambda: photo(path, SIZE))
    assert colours is None or (colours.shape == (*SIZE, 3) and colours.dtype == np.uint8)
    labels = check(lambda: label_image(path, ("L", "P"), SIZE))
    assert labels is None or (labels.shape == SIZE and labels.dtype == np.uint8)
    deep = check(lambda: label_image(path, ("I;16", "I"), SIZE))
    assert deep is None or deep.shape == SIZE


@fuzzed
@given(data=mutated(ARRAYS), kinds=st.sampled_from(("f", "fiu", "u")))
def test_arrays(scratch: Path, data: bytes, kinds: str) -> None:
    path = scratch / "array.npy"
    path.write_bytes(data)
    values = check(lambda: array(path, kinds, SIZE, (None, None, 3)))
    assert values is None or (values.dtype.kind in kinds and (values.shape == SIZE or values.shape[2:] == (3,)))


leaves = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(("a", "b/c", ".."))
)
anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner))
groups = st.lists(st.lists(leaves, min_size=2, max_size=2), min_size=1, max_size=4)
lists = st.fixed_dictionaries({"train": groups | anything, "test": groups | anything}, optional={"train1": groups})


@fuzzed
@given(content=lists | anything)
def test_lists_of_groups(scratch: Path, content: Any) -> None:
    (scratch / "b").mkdir(exist_ok=True)
    for name in ("a", "b/c"):
        (scratch / name).touch()
    path = scratch / "list.json"
    path.write_text(json.dumps(content))
    found = check(lambda: listed(path, ("input", "depth")))
    assert found is None or all(p.is_file() for files in found[0].values() for p in files)


@fuzzed
@given(data=mutated((b'{"train": [["a", "b/c"]], "test": [["b/c", "a"]]}',)))
def test_lists_of_any_bytes(scratch: Path, data: bytes) -> None:
    path = scratch / "list.json"
    path.write_bytes(data)
    check(lambda: listed(path, ("input", "depth")))


@fuzzed
@given(data=mutated((b"d/x/1.png 0\nd/y/2.png 1\n", b"d/x/a b.png 2\r\n")))
def test_lists_of_domains(scratch: Path, data: bytes) -> None:
    root = scratch / "domains"
    root.mkdir(exist_ok=True)
    (root / "d_train.txt").write_bytes(data)
    (root / "d_test.txt").write_text("d/x/3.png 0\n")
    found = check(lambda: domains.recognise(root))
    if found is not None:
        _, _, classes, read = found
        assert all(0 <= label < len(classes) for label in read["d"].labels["train"])
        assert all(root in path.parents for path in read["d"].files["train"])


@fuzzed
@given(data=mutated((b"0\tgood\n1\tbad\n", b"1\t\xff\xfe\n")))
def test_reviews(scratch: Path, data: bytes) -> None:
    path = scratch / "reviews"
    path.write_bytes(data)
    found = check(lambda: list(text.tabbed(path)))
    assert found is None or all(label in (0, 1) for label, _ in found)
    for _, words in found or ():
        assert text.encode(words, 8).max() < text.TOKENS


@fuzzed
@given(data=mutated((b'"1","title","text"\n"2","a ""b""","c"\n', b"3,x\n")))
def test_tables(scratch: Path, data: bytes) -> None:
    path = scratch / "table.csv"
    path.write_bytes(data)
    found = check(lambda: list(text.table(path)))
    assert found is None or all(0 <= label < text.MAX_CLASSES for label, _ in found)


@fuzzed
@given(words=st.text(max_size=40), length=st.integers(1, 60))
def test_any_text_is_encoded(words: str, length: int) -> None:
    tokens = text.encode(words, length)
    assert tokens.shape == (length,)
    assert tokens.max(initial=0) < text.TOKENS
    assert (tokens[len(words) :] == text.PADDING).all()
    assert (tokens[: len(words)] != text.PADDING).all()


SPLITS = saved(lambda b: savemat(b, {"trainNdxs": [[1], [2]], "testNdxs": [[3]]}))
MAPPING = saved(lambda b: savemat(b, {"mapClass": np.ones((1, 894), np.uint8)}))


STRUCTURE = saved(lambda b: savemat(b, {"trainNdxs": {"a": np.ones((1, 9)), "b": "text"}}))
PACKED = saved(lambda b: savemat(b, {"trainNdxs": np.ones((9, 9))}, do_compression=True))


@fuzzed
@given(data=mutated((SPLITS, STRUCTURE, PACKED)))
def test_matlab_variables(scratch: Path, data: bytes) -> None:
    path = scratch / "splits.mat"
    path.write_bytes(data)
    found = check(lambda: variable(path, "trainNdxs", "splits"))
    assert found is None or isinstance(found, np.ndarray | dict)


def official() -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["images"] = np.zeros((3, 3, 8, 6), np.uint8)
        file["depths"] = np.ones((3, 8, 6), np.float32)
        file["labels"] = np.ones((3, 8, 6), np.uint16)
    return buffer.getvalue()


@fuzzed
@given(data=mutated((official(),)))
def test_the_official_file(scratch: Path, data: bytes) -> None:
    root = scratch / "official"
    root.mkdir(exist_ok=True)
    (root / MATLAB).write_bytes(data)
    (root / "splits.mat").write_bytes(SPLITS)
    (root / "classMapping40.mat").write_bytes(MAPPING)
    source = check(lambda: matlab(root, 40, 20.0))
    for column in source.columns.values() if source else ():
        check(lambda c=column: list(c.packed()))
