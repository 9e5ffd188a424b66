"""A small count of `python tests/fuzz.py`, and that its checks find what they look for."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from mtlbench.errors import RecordError
from tests import fuzz
from tests.fuzzing.subjects import Subject, any_bytes


def test_nothing_mutated_is_read_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTLBENCH_CACHE", str(tmp_path / "cache"))
    table, faults = fuzz.fuzz(240, 1, tmp_path, tmp_path / "faults")
    assert faults == []
    assert sum(table.values(), fuzz.Counter()).total() == 240
    assert all(table.values())


def raising(error: BaseException) -> object:
    raise error


@pytest.mark.parametrize(
    ("read", "sealed", "found"),
    [
        (lambda file: file.read_bytes(), True, "FAULT"),
        (lambda file: file.read_bytes(), False, "other input"),
        (lambda file: b"as it was", True, "same"),
        (lambda file: raising(RecordError("said")), True, "refused"),
        (lambda file: raising(KeyError("bare")), False, "FAULT"),
        (lambda file: [None for _ in iter(int, 1)], False, "FAULT"),
    ],
)
def test_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read, sealed, found) -> None:
    monkeypatch.setattr(fuzz, "SECONDS", 0.2)
    file = tmp_path / "file"
    file.write_bytes(b"as it was")
    subject = Subject("any", tmp_path, (file,), lambda _: read(file), sealed, any_bytes)
    assert fuzz.tried(subject, b"as it was", random.Random(0), tmp_path / "kept")[0] == found
    assert file.read_bytes() == b"as it was"
    assert (tmp_path / "kept").exists() == (found == "FAULT")
