"""What a run kept beside its record is used as it was written, or named and left out."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import ModuleType

import pytest

from mtlbench.records import ArtefactLine, Writer
from mtlbench.report.plots import sample_sheets
from mtlbench.report.report import read
from tests.report.test_samples import TASKS, arrays, saved


def kept(folder: Path, name: str, file: str, sha256: str) -> None:
    Writer(folder, 1).write(ArtefactLine(name=name, path=file, sha256=sha256))


@pytest.mark.parametrize("flip", [False, True])
def test_a_damaged_policy_is_named_and_not_drawn(synthetic: ModuleType, tmp_path: Path, flip: bool) -> None:
    folder = synthetic.run(tmp_path, "adashare", 0, per_image=False)
    file, record = folder / "policy.json", folder / "record.jsonl"
    stated = hashlib.sha256(file.read_bytes()).hexdigest()
    before = '"path":"policy.json"'
    assert record.read_text().count(before) == 1
    text = record.read_text().replace(',"sha256":""', "").replace(before, f'{before},"sha256":"{stated}"')
    record.write_text(text)
    if flip:  # one digit of a number: still a policy, and another one
        content = bytearray(file.read_bytes())
        place = next(i for i, byte in enumerate(content) if byte in b"01")
        content[place] ^= 1
        file.write_bytes(content)
    (result,) = read(tmp_path).aggregates
    (run,) = (run for line in result.lines for run in line.row.runs.values())
    assert (run.policy is None) is flip
    said = [w for w in result.study.warnings if "its kept policy is damaged" in w]
    assert len(said) == flip


@pytest.mark.parametrize("flip", [False, True])
def test_damaged_samples_are_named_and_not_drawn(synthetic: ModuleType, tmp_path: Path, flip: bool) -> None:
    folder = synthetic.run(tmp_path, "nddr", 0, per_image=False)
    file = saved(folder / "gallery.npz", arrays())
    kept(folder, "gallery", file.name, hashlib.sha256(file.read_bytes()).hexdigest())
    if flip:
        saved(file, arrays(seed=1))  # as whole as the first, and not what the run wrote
    (result,) = read(tmp_path).aggregates
    content = sample_sheets.data(result, {t.view for t in result.study.tasks})
    assert content is not None
    content["tasks"] = [t.model_dump() for t in TASKS.values()]
    shown, note = sample_sheets.read(content)
    assert bool(shown) is not flip
    assert note == ("cannot be shown: nddr" if flip else "")
