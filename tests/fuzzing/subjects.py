"""What is mutated: files as they lie on a disk, and the reader that a user's command would read them with."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from mtlbench import plugins, records
from mtlbench.data.disk.cache import Column, load
from mtlbench.data.disk.images import label_image, photo
from mtlbench.deployed.network import load_network
from mtlbench.errors import RecordError
from mtlbench.records.sealing import Chain
from mtlbench.report.build import write_tables
from mtlbench.report.report import read as read_report
from mtlbench.runs import checkpoint, course, runner
from mtlbench.study.settings import gather
from mtlbench.study.study import resolve
from tests.fuzzing import mutations
from tests.helpers import layouts_on_disk as layouts
from tests.kill_and_resume import HELPERS, request

Read = Callable[[Path], Any]


@dataclass(frozen=True)
class Subject:
    """Files under `root`; `change` alters one of `files`; `read` gives what the suite makes of all of them.

    `sealed`: the format has a checksum, so that whatever is read must be what was written. Else a change that is read is
    another input, as good as the first.
    """

    kind: str
    root: Path
    files: tuple[Path, ...]
    read: Read
    sealed: bool
    change: Callable[[bytes, random.Random], bytes]


def any_bytes(data: bytes, chance: random.Random) -> bytes:
    return chance.choice(mutations.BYTES)(data, chance)


def any_json(data: bytes, chance: random.Random) -> bytes:
    return (
        any_bytes(data, chance)
        if chance.random() < 0.5
        else mutations.as_json(mutations.value(json.loads(data), chance))
    )


def any_yaml(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.4:
        return any_bytes(data, chance)
    return mutations.as_yaml(mutations.value(yaml.safe_load(data), chance))


def resealed(data: bytes, chance: random.Random) -> bytes:
    """Somebody's hand in a record, with checksums that fit."""
    lines = [b"{" + line.split(b",", 1)[1] for line in data.splitlines()]
    for _ in range(chance.choice((1, 1, 3))):
        index = chance.randrange(len(lines))
        try:
            lines[index] = mutations.as_json(mutations.value(json.loads(lines[index]), chance))
        except RecursionError:
            continue
    chain, sealed = Chain(), []
    for line in lines:
        sealed.append(chain.seal(line) if line[:1] == b"{" and line != b"{}" else line)
        chain.add(sealed[-1])
    return b"\n".join(sealed) + b"\n"


@contextmanager
def _kept_checkpoints() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "remove", lambda folder: None)
        patch.setattr(course.Course, "_due", lambda self, now: self.trainer.state.step % 5 == 0)
        yield


def of_runs(root: Path) -> list[Subject]:
    """A finished run of AdaShare: its record, network, gallery, statistics, policy and checkpoints."""
    with _kept_checkpoints():
        folder = runner.execute(request("adashare", root)).folder
    record, name, own = folder / records.FILE, folder.name, [f"{HELPERS / 'few.py'}:few"]
    before = read_report(root).warnings

    def lines(_: Path) -> Any:
        return [line.model_dump(mode="json") for line in records.read_lines(record)]

    def network(_: Path) -> Any:
        return {k: v.numpy().tobytes() for k, v in load_network(folder, own).network.state_dict().items()}

    def kept(artefact: str, _: Path) -> Any:
        run = records.read_run(folder)
        return records.verify(folder, next(a for a in run.artefacts if a.name == artefact)).read_bytes()

    def reported(_: Path) -> Any:
        report = read_report(root)
        if new := [w for w in report.warnings if w not in before]:
            raise RecordError(new[0])
        return repr([(r.policy, r.artefacts) for r in report.runs]), repr([a.test for a in report.aggregates])

    def tables(_: Path) -> Any:
        report = write_tables(root, root / "out")
        return report.warnings, sorted(report.files)

    def state(_: Path) -> Any:
        return str(checkpoint.read(folder / checkpoint.FILE, name))

    make = partial(Subject, root=root)
    older = b"\n".join(b"{" + line.split(b",", 1)[1] for line in record.read_bytes().splitlines()) + b"\n"
    old = folder / "older.jsonl"
    old.write_bytes(older)
    made = [make("record", files=(record,), read=lines, sealed=True, change=any_bytes)]
    made += [make("record, resealed", files=(record,), read=tables, sealed=False, change=resealed)]
    made += [
        make(
            "record without checksums",
            files=(old,),
            read=lambda _: records.read_lines(old),
            sealed=False,
            change=any_bytes,
        )
    ]
    made += [make("network", files=(folder / "model.safetensors",), read=network, sealed=True, change=any_bytes)]
    made += [make("checkpoint", files=(folder / checkpoint.FILE,), read=state, sealed=True, change=any_bytes)]
    made += [
        make("gallery", files=(folder / "gallery.npz",), read=partial(kept, "gallery"), sealed=True, change=any_bytes)
    ]
    made += [make("statistics", files=(folder / "test_statistics.npz",), read=reported, sealed=True, change=any_bytes)]
    made += [make("policy", files=(folder / "policy.json",), read=reported, sealed=True, change=any_json)]
    return made


STUDY = {
    "methods": ["hard-sharing", "adashare"],
    "dataset": f"{HELPERS / 'toy.py'}:Toy",
    "tasks": "segmentation,depth",
    "backbone": "resnet18",
    "width": 0.0625,
    "seeds": "0-2",
    "steps": 20,
    "batch_size": 4,
    "lr": 1e-3,
    "schedule": "cosine",
    "budget": "total",
    "selection": "best-val",
    "weights": {"depth": 0.5},
    "out": "~/results",
    "set": {"adashare": {"candidates": 2, "select": "sample"}, "toy": {"images": 12, "size": 16}},
}


def of_configurations(root: Path) -> list[Subject]:
    file = root / "study.yaml"
    file.write_bytes(mutations.as_yaml(STUDY))

    def study(_: Path) -> Any:
        found = resolve(gather({}, str(file)))
        return repr((found.settings, found.base, [(e.name, e.cls) for e in found.entries]))

    return [Subject("configuration", root, (file,), study, False, any_yaml)]


def _opened(spec: str, options: Any, root: Path) -> Any:
    kind = plugins.load("datasets", spec)
    data = kind(kind.Options(**options), root, None)
    found = []
    for stream in data.streams:
        for split in ("train", "test"):
            batch = data.items(split, stream, range(data.size(split, stream)))
            found.append(batch.inputs.numpy().tobytes())
            found += [t.numpy().tobytes() for t in batch.targets.values()]
    return data.fingerprint, found


def _layout(kind: str, spec: str, root: Path, endings: Sequence[str], **options: Any) -> Iterator[Subject]:
    for ending in endings:
        files = tuple(sorted(p for p in root.rglob("*") if p.name.endswith(ending)))
        change = any_json if ending == ".json" else any_bytes
        yield Subject(f"{kind} {ending}", root, files, partial(_opened, spec, options), False, change)


def of_data(root: Path) -> list[Subject]:
    """Small data sets in the layouts that people have."""
    truth, city = layouts.Truth(), layouts.Truth(classes=19)
    made = [*_layout("nyuv2 list", "nyuv2", layouts.nyuv2_adashare(root / "a", truth), (".png", ".npy", ".json"))]
    made += _layout("nyuv2", "nyuv2", layouts.libmtl(root / "b", layouts.Truth(classes=13)), (".npy",), classes=13)
    made += _layout("nyuv2 official", "nyuv2", layouts.nyuv2_matlab(root / "c", truth), (".mat",))
    made += _layout("cityscapes list", "cityscapes", layouts.cityscapes_adashare(root / "d", city), (".npy",))
    made += _layout("taskonomy", "taskonomy", layouts.taskonomy(root / "e", layouts.TaskonomyTruth()), (".png",))
    layouts.domains(root / "f")
    made += _layout("domains", "domains", root / "f", (".png", ".txt"))
    made += _layout("fdu-mtl", "fdu-mtl", layouts.reviews(root / "g"), (".train", ".test"))
    made += _layout("text", "text", layouts.tables(root / "h"), (".csv",))
    return made


def of_pictures(root: Path) -> list[Subject]:
    """A photo as `predict` takes it, and a label image: a PNG's chunks have checksums."""
    picture = layouts.png(root / "photo.png", np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
    label = layouts.png(root / "label.png", np.random.default_rng(0).integers(0, 9, (24, 32), dtype=np.uint8))
    return [
        Subject("photo", root, (picture,), lambda _: photo(picture).tobytes(), True, any_bytes),
        Subject("label image", root, (label,), lambda _: label_image(label, ("L",)).tobytes(), True, any_bytes),
    ]


def of_the_cache(root: Path) -> list[Subject]:
    import torch

    source = root / "source"
    source.write_bytes(b"x")
    rows = np.random.default_rng(0).random((20, 8, 8)).astype("f4")
    column = Column("depth", 20, (8, 8), "float32", [source], lambda: iter(rows), torch.from_numpy)

    def stored(_: Path) -> Any:
        found = load(column, root, "fuzzed")
        return found.fingerprint, np.array(found.values).tobytes()

    stored(root)
    home = next(p for p in cache_home().iterdir() if p.is_dir() and p.name.startswith("fuzzed"))
    files = (home / "data.npy", home / "meta.json")
    return [Subject("cache", root, files, stored, True, any_bytes)]


def cache_home() -> Path:
    from mtlbench.data.disk.cache import home

    return home()


def all_subjects(root: Path) -> list[Subject]:
    """Everything, made anew under `root`; names are the table's rows."""
    made: list[Subject] = []
    for make in (of_runs, of_configurations, of_data, of_pictures, of_the_cache):
        place = root / make.__name__
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
        made += make(place)
    return made
