"""Pictures of labels and predictions: colours against values computed by hand, and the command from file to file."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from mtlbench.data.base import Dataset
from mtlbench.data.scenes import Scenes, ScenesOptions
from mtlbench.deployed import predict
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.errors import ConfigError, DataError
from mtlbench.tasks import Task, pictures

DARK = list(pictures.UNLABELLED)


class Constant(nn.Module):
    """Says the same for every pixel of an input at an eighth of its size, and remembers what it was asked."""

    def __init__(self, says):
        super().__init__()
        self.says, self.asked = says, []

    def forward(self, x, tasks):
        self.asked.append((x, tasks))
        small = (len(x), -1, x.shape[2] // 8, x.shape[3] // 8)
        values = {t: torch.tensor(self.says[t]) for t in tasks}
        return {t: v.view(1, -1, 1, 1).expand(small) if t != "kind" else v.view(1, -1) for t, v in values.items()}


class Switch:
    stream = ""


TASKS = (
    Task("segmentation", "segmentation", 3),
    Task("normals", "normals", 3),
    Task("depth", "depth", 1, unit="m"),
    Task("kind", "classification", 2, classes=("room", "hall")),
)
SAYS = {"segmentation": [0.0, 0.5, 0.2], "normals": [0.0, 0.0, -2.0], "depth": [2.5], "kind": [0.0, 3.0]}


def deployed(tasks=TASKS, shape=(3, 16, 32)):
    return DeployedNetwork(Constant(SAYS), Switch(), tasks, {"all": [t.name for t in tasks]}, shape)


@pytest.fixture
def photo(tmp_path):
    """100 wide, 40 high: the left half red, the right half blue."""
    pixels = np.zeros((40, 100, 3), np.uint8)
    pixels[:, :50, 0] = pixels[:, 50:, 2] = 255
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_wall_facing_the_camera_is_blue_and_what_is_unlabelled_is_dark():
    normal = np.array([[[0.0, np.nan]], [[0.0, 0.0]], [[-1.0, 0.0]]])  # (3, 1, 2): toward the camera, unlabelled
    assert pictures.coloured("directions", normal).tolist() == [[[128, 128, 255], DARK]]
    classes = pictures.coloured("classes", np.array([[1, -1]]), 3)
    assert classes.tolist() == [[pictures.palette(3)[1].tolist(), DARK]]
    depth = pictures.coloured("near", np.array([[[1.0, 5.0, np.nan]]]), limits=(1.0, 5.0))
    assert depth[0, 0].sum() > depth[0, 1].sum()  # near is bright
    assert depth[0, 2].tolist() == DARK


def test_the_palette_tells_forty_classes_apart():
    colours = pictures.palette(40).astype(int)
    apart = np.abs(colours[:, None] - colours[None]).sum(-1) + 1000 * np.eye(40, dtype=int)
    assert apart.min() >= 35
    assert np.array_equal(pictures.palette(3), colours[:3])  # more classes change no colour


def test_a_scale_leaves_out_the_outermost_percent():
    values = np.arange(1001.0).reshape(1, 7, 143)
    assert pictures.span(values) == pytest.approx((10, 990))
    assert pictures.span(np.full((1, 2, 2), np.nan)) == (0, 1)


def test_an_image_is_cut_to_the_networks_proportions(photo):
    pixels = predict.read(photo, 20, 20)
    assert pixels.shape == (20, 20, 3)
    assert pixels[10, 2].tolist() == [255, 0, 0]  # the middle 40x40 of it: still half red, half blue
    assert pixels[10, 17].tolist() == [0, 0, 255]


def test_pixels_are_normalised_as_the_data_set_says():
    class Mine(Dataset):
        normalisation = ((0.5, 0.0, 1.0), (0.25, 1.0, 2.0))

    pixels = np.full((2, 3, 3), 255, np.uint8)
    x = predict.normalised(pixels, Mine)
    assert x.shape == (1, 3, 2, 3)
    assert x[0, :, 0, 0].tolist() == [2.0, 1.0, 0.0]


def test_scenes_are_normalised_the_same_way_in_training():
    scenes = Scenes(ScenesOptions(images=2, test_images=1, size=32))
    inputs = scenes.load("test", "all", [0]).inputs
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in Scenes.normalisation)
    pixels = (inputs[0] * deviation + mean) * 255
    assert torch.allclose(pixels, pixels.round(), atol=1e-3)
    again = predict.normalised(pixels.round().byte().permute(1, 2, 0).numpy(), Scenes)
    assert torch.allclose(again[0], inputs[0], atol=1e-5)


def test_every_task_is_asked_at_once_and_answers_at_the_inputs_resolution():
    ready = deployed()
    answers = predict.predict(ready, torch.zeros(1, 3, 16, 32))
    assert [tasks for _, tasks in ready.network.asked] == [("segmentation", "normals", "depth", "kind")]
    assert {t: tuple(v.shape) for t, v in answers.items()} == {
        "segmentation": (1, 3, 16, 32),
        "normals": (1, 3, 16, 32),
        "depth": (1, 1, 16, 32),
        "kind": (1, 2),
    }
    assert torch.allclose(answers["normals"][0, :, 0, 0], torch.tensor([0.0, 0.0, -1.0]))  # a unit vector
    assert TASKS[3].meaning.say(TASKS[3], answers["kind"]) == "kind: hall (95 %)"  # 1 / (1 + exp(-3))


def test_the_picture_holds_the_input_and_every_prediction(photo, tmp_path):
    said = predict.draw(deployed(), Scenes, photo, tmp_path / "out.png")
    assert said == ["kind: hall (95 %)"]
    picture = np.asarray(Image.open(tmp_path / "out.png").convert("RGB"))
    colours = {tuple(c) for c in picture.reshape(-1, 3)}
    assert {(255, 0, 0), (0, 0, 255)} <= colours  # the input
    assert (128, 128, 255) in colours  # the normals
    assert tuple(pictures.palette(3)[1].tolist()) in colours  # the class with the highest logit


def test_a_panel_has_the_classes_in_it_and_the_scale_of_its_colours():
    named = Task("rooms", "segmentation", 30, classes=("wall", "a very long name of a class", "door"))
    value = torch.zeros(1, 30, 2, 15)  # the class of each pixel: 1, six of 0, and one each of the others but the last
    for pixel, number in enumerate([1] + [0] * 6 + [*range(2, 25)]):
        value[0, number, pixel // 15, pixel % 15] = 1.0
    shown = predict.panel(named, value).classes
    assert [name for name, _ in shown] == ["wall", "a very long nam…", "door", *map(str, range(3, 16)), "and 9 more"]
    assert all((255 * c == pictures.palette(30)[i]).all() for i, (_, c) in enumerate(shown[:3]))
    scale = predict.panel(TASKS[2], torch.linspace(1, 3, 32).view(1, 1, 4, 8)).scale
    assert scale is not None
    assert (scale[0], scale[3]) == ("magma_r", "m")
    assert scale[1:3] == pytest.approx((1, 3), abs=0.05)


def test_what_cannot_be_drawn_is_said(photo, tmp_path):
    with pytest.raises(ConfigError, match="a run on images"):
        predict.draw(deployed(shape=(1014,)), Scenes, photo, tmp_path / "out.png")
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(DataError, match="cannot read the image"):
        predict.draw(deployed(), Scenes, tmp_path / "notes.txt", tmp_path / "out.png")
    cut = tmp_path / "cut.png"
    cut.write_bytes(photo.read_bytes()[:60])
    with pytest.raises(DataError, match=r"cannot read the image '.*cut\.png'"):
        predict.draw(deployed(), Scenes, cut, tmp_path / "out.png")
    with pytest.raises(ConfigError, match="cannot write"):
        predict.draw(deployed(), Scenes, photo, Path("nowhere/out.png"))


@pytest.mark.parametrize("side", [9500, 30_000])  # what Pillow warns of, and what it refuses
def test_a_small_file_of_many_pixels_is_refused_before_it_is_unpacked(tmp_path, side, recwarn):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(DataError, match=r"bomb\.png': .*\(expected: at most 67,108,864 pixels\)"):
        predict.read(tmp_path / "bomb.png", 20, 20)
    assert not recwarn.list
