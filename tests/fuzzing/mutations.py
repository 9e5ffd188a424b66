"""Mutations: of any bytes as a bad disk or a bad copy makes them, and of values in JSON or YAML as a hand does."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import yaml

Bytes = Callable[[bytes, random.Random], bytes]


def _place(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randrange(len(data) + 1)
    return start, min(len(data), start + chance.choice((1, 2, 8, 64, 512, 4096)))


def flip(data: bytes, chance: random.Random) -> bytes:
    """One to three bits."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3)) if data else 0):
        changed[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def lose(data: bytes, chance: random.Random) -> bytes:
    start, end = _place(data, chance)
    return data[:start] + data[end:]


def double(data: bytes, chance: random.Random) -> bytes:
    start, end = _place(data, chance)
    return data[:end] + data[start:]


def swap(data: bytes, chance: random.Random) -> bytes:
    (a, b), (c, d) = sorted((_place(data, chance), _place(data, chance)))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:] if b <= c else data


def blank(data: bytes, chance: random.Random) -> bytes:
    start, end = _place(data, chance)
    return data[:start] + bytes([chance.choice((0, 255, 32))]) * (end - start) + data[end:]


def insert(data: bytes, chance: random.Random) -> bytes:
    start, _ = _place(data, chance)
    odd = (
        b"\0",
        b"\x1b[31m",
        b"\r\n",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        "\u202e".encode(),
        b"../",
        b"[" * 5000,
        b"9" * 5000,
    )
    return data[:start] + chance.choice((*odd, chance.randbytes(16))) + data[start:]


def lines(data: bytes, chance: random.Random) -> bytes:
    """A whole line less, more, or elsewhere; another end of all lines."""
    parts = data.split(b"\n")
    index, other = chance.randrange(len(parts)), chance.randrange(len(parts))
    match chance.randrange(4):
        case 0:
            del parts[index]
        case 1:
            parts.insert(other, parts[index])
        case 2:
            parts[index], parts[other] = parts[other], parts[index]
        case _:
            return data.replace(b"\n", b"\r\n")
    return b"\n".join(parts)


BYTES: tuple[Bytes, ...] = (flip, flip, cut, lose, double, swap, blank, insert, lines)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 10**17, 10**400, 0.5, 1e300, -1e-300, 5e-324),
    *(
        float("nan"),
        float("inf"),
        float("-inf"),
        "",
        "x",
        "0",
        "1",
        "nan",
        "..",
        "../../x",
        "/etc/passwd",
        "~",
        "$HOME",
    ),
    *("a\0b", "\x1b]0;x\x07", "\u202eabc", "\ud800", "é" * 300, "x" * 5000, "all", "test", "last"),
    *([], {}, [[]], [1, 2, 3], ["x"], {"x": 1}, {"": ""}, nested(30), nested(900)),
)


def value(data: Any, chance: random.Random) -> Any:
    """The same data with one value replaced by an odd one, or one entry less, more, or twice."""
    if not isinstance(data, dict | list) or not data or chance.random() < 0.15:
        return chance.choice(ODD)
    keys = list(data) if isinstance(data, dict) else list(range(len(data)))
    key, copy = chance.choice(keys), data.copy()
    what = chance.random()
    if what < 0.1:
        del copy[key]
    elif what < 0.15 and isinstance(copy, dict):
        copy[chance.choice(("x", "", "__class__", "\x1b", 1.5))] = copy.pop(key)
    elif what < 0.2 and isinstance(copy, list):
        copy = copy * chance.choice((2, 50))
    else:
        copy[key] = value(copy[key], chance)
    return copy


def as_json(data: Any) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def as_yaml(data: Any) -> bytes:
    try:
        return yaml.safe_dump(data, allow_unicode=False).encode("utf-8", "surrogatepass")
    except (RecursionError, yaml.YAMLError):
        return as_json(data)
