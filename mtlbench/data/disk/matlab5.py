"""MATLAB's version 5 files (splits, class mappings): numbers and structures of numbers.

SciPy's reader crashes the process on damaged files (found by fuzzing), so the little that is needed is read here, after
MathWorks' "MAT-File Format", chapter 1.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mtlbench.data.disk.files import Array, bad, contents
from mtlbench.errors import DataError, one_line

MAX_BYTES = 1 << 24  # of a file, and of what it unpacks to
HEADER = 128
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_STRUCTURE, _NUMERIC = 2, range(6, 16)  # array classes

Element = tuple[int, bytes]
Value = Array | dict[str, Array]


def variable(path: Path, name: str, expected: str) -> Value:
    """A variable of the file: an array, or a structure's fields that are arrays. DataError where there is none."""
    data = contents(path, MAX_BYTES, expected)
    try:
        value = next((value for found, value in _variables(data) if found == name), None)
    except (ValueError, struct.error, zlib.error) as error:
        raise DataError(f"'{path}': no variable '{name}', {one_line(error)} (expected: {expected})") from error
    if value is None:
        bad(path, f"no variable '{name}' of numbers", expected)
    return value


def numbers(path: Path, name: str, expected: str) -> Array:
    """A variable that is an array of numbers."""
    value = variable(path, name, expected)
    if isinstance(value, dict):
        bad(path, f"'{name}' is a structure", expected)
    return value


def _variables(data: bytes) -> Iterator[tuple[str, Value | None]]:
    order = {b"IM": "<", b"MI": ">"}.get(data[126:HEADER])
    if order is None:
        raise ValueError("not a MATLAB file of version 5")
    for kind, content in _elements(data[HEADER:], order):
        if kind == _COMPRESSED:
            unpack = zlib.decompressobj()
            content = unpack.decompress(content, MAX_BYTES)
            if unpack.unconsumed_tail:
                raise ValueError(f"unpacks to more than {MAX_BYTES} bytes")
            kind, content = next(_elements(content, order), (0, b""))
        if kind == _MATRIX:
            yield _matrix(content, order)


def _elements(data: bytes, order: str) -> Iterator[Element]:
    """Type and content of each element; small ones hold both in eight bytes."""
    place = 0
    while place < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        if kind >> 16:
            kind, size, start, end = kind & 0xFFFF, kind >> 16, place + 4, place + 8
            if size > 4:
                raise ValueError(f"a small element of {size} bytes")
        else:
            start = place + 8
            end = start + size + (0 if kind == _COMPRESSED else -size % 8)
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes where {len(data) - start} are left")
        yield kind, data[start : start + size]
        place = end


def _matrix(data: bytes, order: str) -> tuple[str, Value | None]:
    """A variable's name and value; None for what is neither numbers nor a structure."""
    parts = list(_elements(data, order))
    if len(parts) < 3:
        raise ValueError(f"an array of {len(parts)} parts")
    flags, shape = _array(parts[0], order), _array(parts[1], order)
    name = parts[2][1].decode("latin-1")
    kind = int(flags[0]) & 0xFF if flags.size else 0
    if kind in _NUMERIC and len(parts) > 3:
        return name, _shaped(_array(parts[3], order), shape)
    return name, _structure(parts[3:], order) if kind == _STRUCTURE else None


def _structure(parts: list[Element], order: str) -> dict[str, Array]:
    """The fields of a structure's first element that are arrays of numbers."""
    length = int(_array(parts[0], order)[0]) if parts and _array(parts[0], order).size else 0
    if length < 1 or len(parts) < 2:
        raise ValueError("a structure without fields")
    text = parts[1][1]
    names = [text[i : i + length].split(b"\0")[0].decode("latin-1") for i in range(0, len(text), length)]
    fields: dict[str, Array] = {}
    for name, (kind, content) in zip(names, parts[2:], strict=False):
        parted = [p for _, p in zip(range(4), _elements(content, order), strict=False)] if kind == _MATRIX else []
        flags = _array(parted[0], order) if len(parted) == 4 else np.zeros(0, np.uint32)
        if flags.size and int(flags[0]) & 0xFF in _NUMERIC:
            fields[name] = _shaped(_array(parted[3], order), _array(parted[1], order))
    return fields


def _array(element: Element, order: str) -> Array:
    kind, content = element
    if kind not in _NUMBERS:
        raise ValueError(f"an element of type {kind}, not numbers")
    dtype = np.dtype(order + _NUMBERS[kind])
    if len(content) % dtype.itemsize:
        raise ValueError(f"{len(content)} bytes of {dtype.itemsize}-byte numbers")
    return np.frombuffer(content, dtype)


def _shaped(values: Array, shape: Array) -> Array:
    """Values, column by column, in their shape."""
    sides = [int(n) for n in shape]
    if not sides or min(sides) < 0 or math.prod(sides) != values.size:
        raise ValueError(f"{values.size} numbers for an array of shape {sides}")
    return values.reshape(sides, order="F")
