"""The contract battery: everything registered passes it, and every check is failed by something deliberately broken."""

import itertools
import math
import re

import numpy as np
import pytest
import torch
from torch import Tensor

from mtlbench import checks, plugins
from mtlbench.checks import battery, dataset_battery
from mtlbench.checks.asking import ask
from mtlbench.checks.subject import Subject
from mtlbench.data.base import Batch, DataOptions, Reference
from mtlbench.data.scenes import Scenes
from tests.helpers.broken_methods import BROKEN, Sound
from tests.helpers.toy import Toy, ToyDomains, ToyOptions

QUESTIONS = {**checks.FIRST, **checks.REST}


def failures(findings):
    return {f.name: f.detail for f in findings if not f.ok}


@pytest.mark.parametrize("name", plugins.names("methods"))
def test_registered_methods_keep_the_contract(name):
    findings = battery(name)
    assert failures(findings) == {}
    assert tuple(f.name for f in findings) == checks.METHOD_CHECKS


def test_a_sound_method_of_ones_own_passes():
    assert failures(battery(Sound)) == {}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda c: f"{c.breaks}-{c.__name__}")
def test_a_broken_method_fails_its_check_and_is_told_why(broken):
    subject = Subject(broken, {}, steps=8)  # one phase, one turn: no need of more
    (finding,) = ask({broken.breaks: QUESTIONS[broken.breaks]}, subject, subject.file)
    assert not finding.ok
    assert re.search(broken.says, finding.detail), finding.detail
    assert "\n" not in finding.detail


def test_every_check_is_failed_by_something():
    assert {c.breaks for c in BROKEN} == set(checks.METHOD_CHECKS)


# --- data sets


def toy(**changes):
    """A sound data set with some of its methods or attributes replaced."""

    methods = {n for n, v in changes.items() if callable(v) or isinstance(v, property)}

    class Changed(Toy):
        def __init__(self, options=None, root=None, tasks=None):
            super().__init__(options or ToyOptions(images=20), root, tasks)
            for name, value in changes.items():
                if name not in methods:
                    setattr(self, name, value)

    for name in methods:
        setattr(Changed, name, changes[name])
    return Changed()


def items(change):
    """`Toy.items` with its targets or inputs changed."""

    def changed(self, split, stream, indices):
        batch = Toy.items(self, split, stream, indices)
        targets = dict(batch.targets)
        x = change(batch.inputs, targets)
        return Batch(batch.inputs if x is None else x, targets)

    return changed


def part(name, change):
    """`Dataset._split` with one part changed."""

    def changed(self, wanted, stream):
        found = Toy._split(self, wanted, stream)
        return change(self, found, stream) if wanted == name else found

    return changed


def put(name, change):
    return lambda x, targets: targets.update({name: change(targets[name])})


def first(value):
    """Another value in the first pixel's first channel."""

    def change(target):
        target = target.clone()
        target.view(-1)[0] = value
        return target

    return change


def leaving(self, batch, random):
    """Noise from torch's global generator."""
    return Batch(batch.inputs + torch.rand(()), batch.targets)


STORED = {}
TURNS = itertools.count()


def stored(self, split, stream, indices):
    """Items kept, and handed out, as they are."""
    key = (split, tuple(map(int, indices)))
    return STORED.setdefault(key, Toy.items(self, split, stream, indices))


def in_place(self, batch, random):
    batch.inputs.mul_(0.5)
    return batch


BROKEN_DATA = {
    "no-tasks": ("declares", {"tasks": ()}, "tasks are none"),
    "streams": ("declares", {"streams": {"all": ("segmentation",)}}, "streams serve segmentation .each of"),
    "weight": ("declares", {"weights": {"segmentation": 1.0, "depth": 0.0, "normals": 1.0}}, "the weight of 'depth' is 0.0"),
    "shape": ("declares", {"shape": (32, 32)}, r"shape is \(32, 32\)"),
    "unnamed": ("declares", {"fingerprint": ""}, "fingerprint is ''"),
    "preset": ("declares", {"presets": {"quick": {"stepps": 3}}}, "preset 'quick' sets 'stepps'"),
    "reference": (
        "declares",
        {"references": (Reference("paper", "table 1", {"depth": {"mae": 1.0}}),)},
        "reference 'paper' has 'mae' for 'depth'",
    ),
    "val-in-train": ("splits", {"_split": part("train", lambda s, f, st: np.arange(20))}, "'val' and 'train' .* share 2 items"),
    "val-in-train-a": ("splits", {"_split": part("train-a", lambda s, f, st: np.arange(20))}, "'val' and 'train-a'"),
    "train-b-in-a": (
        "splits",
        {"_split": part("train-b", lambda s, f, st: s.indices("train", st))},
        "'train-a' and 'train-b' .* share",
    ),
    "empty": ("splits", {"_split": part("val", lambda s, f, st: f[:0])}, "'val' of stream 'all' is empty"),
    "strata": ("splits", {"strata": lambda s, st: np.zeros(7)}, r"strata of stream 'all' have shape \(7,\) \(\(20,\)"),
    "twice": ("splits", {"_split": part("val", lambda s, f, st: f[[0, 0]])}, "'val' of stream 'all' holds an item twice"),
    "beyond": ("splits", {"_split": part("test", lambda s, f, st: np.arange(11))}, "beyond its 10 items"),
    "drawn-split": ("splits", {"_split": part("val", lambda s, f, st: np.roll(f, next(TURNS)))}, "in a second copy"),
    "double": ("items", {"items": items(lambda x, t: x.double())}, "inputs are torch.float64 .torch.float32 is expected"),
    "not-finite": ("items", {"items": items(lambda x, t: x / 0)}, "inputs are not finite in 'train'"),
    "missing-target": ("items", {"items": items(lambda x, t: t.pop("depth") is x or None)}, "targets are segmentation"),
    "channel": (
        "items",
        {"items": items(put("depth", lambda d: d[:, 0]))},
        r"'depth' has shape \(4, 32, 32\) \(\(4, 1, 32, 32\) is expected\)",
    ),
    "integers": ("items", {"items": items(put("segmentation", Tensor.int))}, "'segmentation' is torch.int32"),
    "unstable": ("items", {"items": items(lambda x, t: x + torch.rand(()))}, "the same items differ when they are loaded"),
    "together": ("items", {"items": items(lambda x, t: x - x.mean(0))}, "the first item differs when it is loaded alone"),
    "range": ("labels", {"items": items(put("segmentation", first(4)))}, "'segmentation' has label 4 .0 to 3, or -1"),
    "void": ("labels", {"items": items(put("segmentation", first(255)))}, "has label 255"),
    "negative": ("labels", {"items": items(put("segmentation", first(-2)))}, "has label -2"),
    "infinite": ("labels", {"items": items(put("depth", first(math.inf)))}, "'depth' is infinite"),
    "half-missing": ("labels", {"items": items(put("normals", first(math.nan)))}, "'normals' lacks some channels"),
    "zero-depth": ("labels", {"items": items(put("depth", first(0.0)))}, r"'depth' has depth 0 \(above 0"),
    "negative-depth": ("labels", {"items": items(put("depth", first(-1.5)))}, "'depth' has depth -1.5"),
    "long-normal": ("labels", {"items": items(put("normals", lambda n: 2 * n))}, "has a vector of length 2"),
    "global-noise": ("draws", {"augment": leaving}, "a global random generator is drawn from"),
    "crop": ("draws", {"augment": lambda s, b, r: b.map(lambda x: x[..., :16])}, r"inputs have shape \(4, 3, 32, 16\)"),
    "label-crop": (
        "draws",
        {"augment": lambda s, b, r: Batch(b.inputs, {t: v[..., :16] for t, v in b.targets.items()})},
        r"'depth' has shape \(4, 1, 32, 16\) \(\(4, 1, 32, 32\) is expected\)",
    ),
    "in-place": ("draws", {"items": stored, "augment": in_place}, "the same draw gives another batch"),
    "fingerprint": ("fingerprint", {"fingerprint": property(lambda s: str(id(s)), lambda s, v: None)}, "in a second copy"),
    "crash": ("items", {"items": lambda *_: {}["labels.csv"]}, r"KeyError: 'labels.csv' \(test_battery.py, line \d+\)"),
}  # fmt: skip


@pytest.mark.parametrize(
    "dataset", [Toy(ToyOptions()), ToyDomains(DataOptions()), toy()], ids=["toy", "domains", "own"]
)
def test_sound_data_sets_pass(dataset):
    findings = dataset_battery(dataset)
    assert failures(findings) == {}
    assert tuple(f.name for f in findings) == checks.DATASET_CHECKS


def test_scenes_pass(tmp_path, monkeypatch):
    monkeypatch.setenv("MTLBENCH_CACHE", str(tmp_path))
    for options in ({"missing": 0.3}, {"variant": "twins"}):
        parsed = Scenes.Options(images=20, test_images=4, size=32, **options)
        assert failures(dataset_battery(Scenes(parsed))) == {}


@pytest.mark.parametrize(("check", "changes", "says"), BROKEN_DATA.values(), ids=BROKEN_DATA)
def test_a_broken_data_set_fails_its_check_and_is_told_why(check, changes, says):
    found = failures(dataset_battery(toy(**changes)))
    assert check in found
    assert re.search(says, found[check]), found[check]
    assert "\n" not in found[check]


def test_every_data_check_is_failed_by_something():
    assert {check for check, _, _ in BROKEN_DATA.values()} == set(checks.DATASET_CHECKS)
