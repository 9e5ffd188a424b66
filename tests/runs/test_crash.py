"""A kill at every file operation of a run: whatever then lies on the disk, the same command ends with the same bits.

CRASH_FULL=1 python -m pytest tests/runs/test_crash.py -k every -s     every point, also where the disk reads alike; counts
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mtlbench import records
from mtlbench.runs import checkpoint, course, runner
from mtlbench.training import loop
from tests.runs.test_runner import TOY, Killed, numbers, request

FEW = f"{Path(__file__).parents[1] / 'helpers' / 'few.py'}:few"
FULL = bool(os.environ.get("CRASH_FULL"))
Image = dict[str, bytes]


class Disk:
    """What lies in a folder before every file operation, and half-way through every write."""

    READ = (records.FILE, checkpoint.FILE, checkpoint.PREVIOUS)
    OPERATIONS = ("open", "write", "fsync", "replace", "unlink", "ftruncate", "truncate", "mkdir")

    def __init__(self, root: Path) -> None:
        self.root = root
        self.operations = 0
        self.halved = False
        self.images: dict[object, Image] = {}

    @contextmanager
    def watched(self) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in self.OPERATIONS:
                patch.setattr(os, name, self._watching(name, getattr(os, name)))
            yield

    def _watching(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*arguments: Any, **options: Any) -> Any:
            self._keep()
            self.halved = name == "write" and len(arguments[1]) > 1 and not self.halved
            if self.halved:
                half = memoryview(arguments[1])[: len(arguments[1]) // 2]
                taken = original(arguments[0], half)
                self._keep()
                return taken  # short, too: the writer has to go on from there
            return original(*arguments, **options)

        return operation

    def _keep(self) -> None:
        """Remember what is there. Of images that differ only in files that a run writes anew, the last one counts."""
        self.operations += 1
        files = (p for p in self.root.rglob("*") if p.is_file() and p.suffix != ".lock")
        image = {str(p.relative_to(self.root)): p.read_bytes() for p in files}
        read = tuple((name, data) for name, data in sorted(image.items()) if name.endswith(self.READ))
        self.images[(str(self.operations), b"") if FULL else read] = image


def lay(image: Image, root: Path) -> None:
    for name, data in image.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def kept(folder: Path) -> dict[str, Any]:
    """The network, the policy, the gallery, the statistics: every file a finished run leaves."""
    run = records.read_run(folder)
    found = {a.name: records.verify(folder, a).read_bytes() for a in run.artefacts}
    network = found.pop("model")  # its header's keys are in no order
    size = 8 + int.from_bytes(network[:8], "little")
    return {**found, "header": json.dumps(json.loads(network[8:size]), sort_keys=True), "weights": network[size:]}


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., runner.Request]:
    """A run of a tenth of a second: four blocks, and nothing counted."""

    class Counter:
        __init__ = __exit__ = lambda self, *_, **__: None
        __enter__ = lambda self: self  # noqa: E731
        get_total_flops = lambda self: 7  # noqa: E731

    cost = records.Cost(
        parameters=records.Parameters(backbone=1, heads=1, total=2, ratio=1.0),
        macs=records.Macs(backbone=1, heads=1, total=2),
        flops=4,
    )
    monkeypatch.setattr(loop, "FlopCounterMode", Counter)
    monkeypatch.setattr(course, "measure", lambda *_, **__: cost)
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    data = {"images": 8, "size": 8}
    settings = {"data": data, "head": 4, "backbone": FEW, "batch_size": 2, "evaluations": 2}
    return lambda out, method, **more: request(out, method, TOY, **settings, **more)


RUNS = {
    "hard-sharing": {"selection": "best-val", "steps": 6},
    "adashare": {"steps": 8, "options": {"select": "sample", "candidates": 2}},
    "den": {"steps": 6, "also": ("best-val",)},
}


@pytest.mark.parametrize("method", RUNS)
def test_a_kill_at_every_file_operation(tmp_path: Path, small: Callable[..., runner.Request], method: str) -> None:
    whole = runner.execute(small(tmp_path / "whole", method, **RUNS[method]))
    assert whole.status == "finished", whole.reason
    expected, files = numbers(whole.folder), kept(whole.folder)
    disk = Disk(tmp_path / "watched")
    with disk.watched(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(course.Course, "_due", lambda self, now: self.trainer.state.step % 2 == 1)
        again = runner.execute(small(tmp_path / "watched", method, **RUNS[method]))
    assert numbers(again.folder) == expected
    assert disk.operations > 150
    for number, image in enumerate(disk.images.values()):
        out = tmp_path / str(number)
        lay(image, out)
        outcome = runner.execute(small(out, method, **RUNS[method]))
        assert outcome.status == "finished", (number, outcome.reason)
        assert numbers(outcome.folder) == expected, number
        assert kept(outcome.folder) == files, number
        assert not list(outcome.folder.glob("checkpoint*"))
        shutil.rmtree(out)
    print(f"\n{method}: {disk.operations} points, {len(disk.images)} of them gone on with, equal at every one")


PLACED = """
from baselines.hard_sharing import HardSharing

class Placed(HardSharing):
    name = "placed"
    anchor = None
    def forward(self, x, tasks):
        shift = 0.0 if self.training else 0.1 * self.where.step + len(self.where.phase)
        return {t: p + shift if t == "depth" else p for t, p in super().forward(x, tasks).items()}
"""


@pytest.mark.parametrize("selection", ["last", "best-val"])
def test_where_training_stands_is_restored_with_the_last_step_of_a_phase(tmp_path, monkeypatch, small, selection):
    (tmp_path / "placed.py").write_text(PLACED)
    settings = {"spec": f"{tmp_path / 'placed.py'}:Placed", "steps": 4, "selection": selection}
    whole = runner.execute(small(tmp_path / "whole", "placed", **settings))
    with monkeypatch.context() as patch:
        patch.setattr(course.Course, "_due", lambda self, now: True)
        patch.setattr(loop.Trainer, "_leave", lambda self, phase: (_ for _ in ()).throw(Killed()))
        with pytest.raises(Killed):
            runner.execute(small(tmp_path / "cut", "placed", **settings))
    outcome = runner.execute(small(tmp_path / "cut", "placed", **settings))
    assert (outcome.score, numbers(outcome.folder)) == (whole.score, numbers(whole.folder))
    assert records.read_run(outcome.folder).final().phase == "train"
