"""Scenes: what is stored, how it is labelled, that it is the same everywhere, and that its options do what they say."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mtlbench.config import parse
from mtlbench.data import scenes
from mtlbench.data.base import ALL, draw_batch
from mtlbench.data.scenes import PLANES, SECOND, Scenes, ScenesOptions, pack, render
from mtlbench.errors import ConfigError
from mtlbench.tasks import VOID
from mtlbench.tasks.losses import labelled
from mtlbench.tasks.metrics import ConstantPredictor

SMALL: dict[str, Any] = {"images": 12, "test_images": 5, "size": 32}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MTLBENCH_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenes]:
    """One set for the tests that only read: 60 training images of 64x64."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTLBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield Scenes(ScenesOptions(images=60, test_images=20))


def make(**options: Any) -> Scenes:
    return Scenes(ScenesOptions(**{**SMALL, **options}))


def everything(data: Scenes, split: str = "train") -> Any:
    return data.items(split, ALL, range(data.size(split, ALL)))


# Items.


def test_items_have_the_promised_shapes_types_and_ranges(shared: Scenes) -> None:
    batch, count = everything(shared), 60
    assert batch.inputs.shape == (count, 3, 64, 64)
    assert batch.inputs.dtype == torch.float32
    assert -2 <= float(batch.inputs.min()) < float(batch.inputs.max()) <= 2
    t = batch.targets
    assert list(t) == ["segmentation", "normals", "depth", "keypoints", "edges"]
    assert t["segmentation"].shape == (count, 64, 64)
    assert t["segmentation"].dtype == torch.int64
    assert t["normals"].shape == (count, 3, 64, 64)
    assert torch.allclose(t["normals"].square().sum(1).sqrt(), torch.ones(()), atol=1e-6)
    assert t["depth"].shape == t["keypoints"].shape == t["edges"].shape == (count, 1, 64, 64)
    assert float(t["depth"].min()) > 0.2
    assert float(t["depth"].max()) < 15
    for name in ("keypoints", "edges"):
        assert float(t[name].min()) == 0
        assert float(t[name].max()) > 0.95
        assert float(t[name].max()) <= 1
    assert all(bool(labelled(task, t[task.name]).all()) for task in shared.tasks)


def test_stored_labels_are_the_rendered_ones_to_their_steps() -> None:
    data = make()
    batch, exact = everything(data), render(data._options, "train", 3)
    assert np.array_equal(batch.targets["segmentation"][3], exact["segmentation"])
    assert np.abs(batch.targets["depth"][3, 0].numpy() - exact["depth"]).max() <= 1 / 8192 + 1e-6
    assert np.abs(batch.targets["normals"][3].numpy() - exact["normals"]).max() < 5e-5
    assert np.abs((batch.inputs[3].numpy() * 0.25 + 0.5) - exact["image"]).max() <= 0.5 / 255 + 1e-6
    for name in ("keypoints", "edges"):
        assert np.abs(batch.targets[name][3, 0].numpy() - exact[name]).max() <= 0.5 / 255 + 1e-6


def test_every_class_occurs_and_none_fills_most_pixels(shared: Scenes) -> None:
    classes = everything(shared).targets["segmentation"]
    share = torch.bincount(classes.flatten(), minlength=12).double() / classes.numel()
    assert len(share) == 12
    assert float(share.min()) > 5e-4
    assert float(share.max()) < 0.6


def test_colour_alone_gives_no_class_away(shared: Scenes) -> None:
    """A pixel's class guessed from its colour (8x8x8 bins, most frequent class) is hardly better than the majority."""

    def cells(split: str) -> tuple[torch.Tensor, torch.Tensor]:
        batch = everything(shared, split)
        level = ((batch.inputs * 0.25 + 0.5) * 7.999).long()
        return (level * torch.tensor([64, 8, 1]).view(1, 3, 1, 1)).sum(1).flatten(), batch.targets[
            "segmentation"
        ].flatten()

    colour, truth = cells("train")
    counts = torch.zeros(512, 12).index_put_((colour, truth), torch.ones(()), accumulate=True)
    guess = torch.where(counts.sum(1) > 0, counts.argmax(1), counts.sum(0).argmax())
    colour, truth = cells("test")
    majority = (truth == counts.sum(0).argmax()).double().mean()
    assert float((guess[colour] == truth).double().mean() - majority) < 0.08


def test_the_constant_predictor_leaves_room(shared: Scenes) -> None:
    targets = everything(shared).targets
    room = {}
    for task in shared.tasks:
        if task.name in ("depth", "keypoints", "edges"):
            constant = ConstantPredictor(task)
            constant.update(targets[task.name])
            room[task.name] = float((targets[task.name] - constant.prediction()).abs().mean())
    assert room["depth"] > 0.7
    assert room["keypoints"] > 0.2
    assert room["edges"] > 0.2


def test_tasks_can_be_chosen_and_keep_their_labels() -> None:
    whole, part = make(), Scenes(ScenesOptions(**SMALL), tasks=["depth", "segmentation"])
    assert [t.name for t in part.tasks] == ["depth", "segmentation"]
    assert part.streams == {ALL: ("depth", "segmentation")}
    assert set(part.weights) == {"depth", "segmentation"}
    for name, target in everything(part).targets.items():
        assert torch.equal(target, everything(whole).targets[name])


# The same bits everywhere.


def test_an_image_is_a_pure_function_of_seed_split_and_index() -> None:
    few, more = make(images=5), make(images=9, val_fraction=0.3)
    assert torch.equal(everything(few).inputs, everything(more).inputs[:5])
    assert all(torch.equal(v, everything(more).targets[k][:5]) for k, v in everything(few).targets.items())
    assert not torch.equal(everything(few).inputs, everything(few, "test").inputs)
    assert not torch.equal(everything(few).inputs, everything(make(images=5, seed=1)).inputs)


def test_the_bits_are_those_of_every_other_machine() -> None:
    """A change of these bits is a change of the data set: raise `scenes.RENDERER` with it."""
    digest = hashlib.sha256()
    for variant in ("five", "twins"):
        options = ScenesOptions(size=32, variant=variant, conflict=0.5)
        for index in range(6):
            digest.update(pack(render(options, "train", index), PLANES[variant]).tobytes())
    assert (scenes.RENDERER, digest.hexdigest()[:16]) == (2, "7f2fa5cc35cbfb22")


CHILD = """
import sys
from mtlbench.data.scenes import Scenes, ScenesOptions
print(Scenes(ScenesOptions(images=12, test_images=5, size=32)).fingerprint)
"""


@pytest.mark.slow
def test_two_processes_at_once_build_one_cache_with_the_same_content(cache: Path) -> None:
    environment = {**os.environ, "MTLBENCH_CACHE": str(cache)}
    children = [
        subprocess.Popen([sys.executable, "-c", CHILD], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [child.communicate(timeout=60)[0].strip() for child in children]
    assert [child.returncode for child in children] == [0, 0]
    assert said == [make().fingerprint] * 2
    assert len(list(cache.glob("*/data.npy"))) == 2  # one a split


def test_a_cached_set_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first = make().fingerprint
    monkeypatch.setattr(scenes, "render", lambda *_: pytest.fail("rendered again"))
    assert make().fingerprint == first


def test_a_damaged_cache_is_rebuilt(cache: Path) -> None:
    before = make()
    inputs = everything(before).inputs.clone()
    for path in cache.glob("*/data.npy"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 255
        path.write_bytes(content)
    after = make()
    assert after.fingerprint == before.fingerprint
    assert torch.equal(everything(after).inputs, inputs)


def test_the_fingerprint_tells_every_option_apart() -> None:
    prints = [
        make(images=3, test_images=1, **options).fingerprint
        for options in (
            {},
            {"seed": 1},
            {"val_fraction": 0.2},
            {"size": 40},
            {"missing": 0.2},
            {"conflict": 1.0},
            {"zoom": (1, 1)},
        )
    ]
    assert len(set(prints)) == len(prints)


# Options.


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size": 60}, "'size' is 60"),
        ({"size": 16}, "'size' is 16"),
        ({"conflict": 1.5}, "'conflict' is 1.5"),
        ({"missing": 1.0}, "'missing' is 1.0"),
        ({"images": 0}, "'images' is 0"),
        ({"variant": "triplets"}, "variant of scenes 'triplets'"),
        ({"imagse": 5}, "unknown option of scenes 'imagse'; did you mean 'images'?"),
    ],
)
def test_wrong_options_are_one_clear_line(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(ScenesOptions, options, "scenes")
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unknown_tasks_are_refused_by_variant() -> None:
    with pytest.raises(ConfigError, match="unknown task 'rival'"):
        Scenes(ScenesOptions(**SMALL), tasks=["rival"])


def test_missing_labels_take_whole_images_at_the_asked_rate() -> None:
    full, some, more = (make(images=100, missing=m) for m in (0.0, 0.3, 0.6))
    gone = {}
    for data in (some, more):
        batch = everything(data)
        assert torch.equal(batch.inputs, everything(full).inputs)
        for task in data.tasks:
            has = labelled(task, batch.targets[task.name]).flatten(1)
            assert torch.equal(has.any(1), has.all(1))  # the whole image or nothing
            kept = has.all(1)
            assert torch.equal(batch.targets[task.name][kept], everything(full).targets[task.name][kept])
            gone[data, task.name] = ~kept
    for task in full.tasks:
        assert abs(float(gone[some, task.name].double().mean()) - 0.3) < 0.15
        assert abs(float(gone[more, task.name].double().mean()) - 0.6) < 0.15
        assert (gone[more, task.name] | ~gone[some, task.name]).all()  # a larger share takes more, not others
    assert not torch.equal(gone[some, "depth"], gone[some, "edges"])
    assert (everything(some).targets["segmentation"][gone[some, "segmentation"]] == VOID).all()


def test_without_conflict_one_room_and_with_conflict_two_are_described() -> None:
    plain, double = ScenesOptions(size=32), ScenesOptions(size=32, conflict=1.0)
    for index in range(4):
        a, b = render(plain, "train", index), render(double, "train", index)
        assert not np.array_equal(a["image"], b["image"])
        for name in PLANES["five"]:
            if name != "image":
                assert np.array_equal(a[name], b[name]) == (name not in SECOND)
        room = scenes._expose(scenes.derive("scenes", 0, "train", index, "second room"), double)[1]
        assert all(np.array_equal(b[name], room[name][::-1]) for name in SECOND & set(b))


def test_conflict_is_the_share_of_double_exposures() -> None:
    images = {c: everything(make(images=60, test_images=1, conflict=c)).inputs for c in (0.0, 0.3, 0.7)}
    doubled = {c: (images[c] != images[0.0]).flatten(1).any(1) for c in (0.3, 0.7)}
    for share, which in doubled.items():
        assert abs(float(which.double().mean()) - share) < 0.15
    assert (doubled[0.7] | ~doubled[0.3]).all()  # a larger share adds to the same images


def test_twins_share_their_labels_and_the_rival_does_not() -> None:
    data = make(variant="twins", images=40)
    t = everything(data).targets
    assert [(task.name, task.kind) for task in data.tasks] == [
        ("depth", "depth"),
        ("depth2", "depth"),
        ("rival", "depth"),
    ]
    assert torch.equal(t["depth"], t["depth2"])
    assert torch.equal(t["depth"], everything(make(images=40)).targets["depth"])
    # Image by image the two rooms are independent, and of the same kind: the rival's labels stand on their head.
    means = torch.stack([t["depth"].flatten(1).mean(1), t["rival"].flatten(1).mean(1)])
    assert abs(float(torch.corrcoef(means)[0, 1])) < 0.35
    assert float(t["depth"].mean()) == pytest.approx(float(t["rival"].mean()), rel=0.15)
    rows = {name: t[name].mean((0, 1, 3)) for name in ("depth", "rival")}
    assert rows["depth"][0] > rows["depth"][-1]
    assert rows["rival"][0] < rows["rival"][-1]


def test_twins_without_conflict_are_triplets() -> None:
    t = everything(make(variant="twins", conflict=0.0)).targets
    assert torch.equal(t["depth"], t["rival"])


# Training batches.


def test_batches_are_augmented_as_a_pure_function_of_the_draw(shared: Scenes) -> None:
    one, two = (draw_batch(shared, 0, "train", ALL, 3, 4) for _ in range(2))
    other = draw_batch(shared, 1, "train", ALL, 3, 4)
    assert torch.equal(one.inputs, two.inputs)
    assert not torch.equal(one.inputs, other.inputs)
    assert one.inputs.shape == (4, 3, 64, 64)
    normals = one.targets["normals"].square().sum(1).sqrt()
    assert torch.allclose(normals[normals.isfinite()], torch.ones(()), atol=1e-6)


def test_augmentation_can_be_switched_off() -> None:
    data = make(zoom=(1.0, 1.0), mirror=False)
    batch = everything(data)
    after = data.augment(batch, torch.Generator().manual_seed(0))
    assert torch.equal(after.inputs, batch.inputs)


def test_presets_name_settings_of_a_run() -> None:
    from mtlbench.config import RunConfig

    for preset in ("quick", "standard", "paper"):
        assert set(Scenes.presets[preset]) <= set(RunConfig.model_fields)
