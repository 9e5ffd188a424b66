"""The items a run keeps to be shown: the same for every method, and exactly what its network answered."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtlbench.config import RunConfig
from mtlbench.data.base import DataOptions
from mtlbench.data.scenes import Scenes, ScenesOptions
from mtlbench.data.text import CHARACTERS, TextOptions, Texts, decode, encode
from mtlbench.deployed import network as deployment
from mtlbench.deployed import samples as gallery
from mtlbench.records import read_run
from mtlbench.runs import runner
from mtlbench.tasks.losses import to_label
from tests.helpers.toy import Toy, ToyDomains, ToyOptions

HERE = Path(__file__).parents[1] / "helpers"


@given(st.integers(0, 1000), st.integers(1, 9))
def test_items_are_spread(count, wanted):
    places = gallery.spread(count, wanted)
    assert len(places) == min(count, wanted)
    assert all(0 <= p < count for p in places)
    assert all(a < b for a, b in pairwise(places))


@pytest.mark.parametrize(("shape", "kept"), [((2, 192, 100), (2, 192, 100)), ((2, 193, 50), (2, 97, 25))])
def test_large_pictures_are_thinned(shape, kept):
    picture = np.arange(np.prod(shape)).reshape(shape)
    thin = gallery.thinned(picture, (-2, -1))
    assert thin.shape == kept
    assert thin[1, 1, 1] == picture[1, shape[1] // kept[1] + (kept != shape), shape[2] // kept[2]]


def run(tmp_path, dataset, method="hard-sharing"):
    tasks = tuple(t.name for t in dataset.tasks)
    config = RunConfig(method=method, dataset=dataset.name, tasks=tasks, steps=4, batch_size=4, width=0.0625, head=8)
    request = runner.Request(config, method, f"{HERE / 'toy.py'}:{type(dataset).__name__}", str(tmp_path))
    outcome = runner.execute(request)
    assert outcome.status == "finished", outcome.reason
    artefact = next(a for a in read_run(outcome.folder).artefacts if a.name == "gallery")
    with np.load(outcome.folder / artefact.path, allow_pickle=False) as arrays:
        return outcome.folder, dict(arrays)


def test_dense_items_are_the_labels_and_what_the_network_says(tmp_path):
    dataset = Toy(ToyOptions())
    folder, kept = run(tmp_path, dataset)
    places = [1, 5, 8]  # of 10
    batch = dataset.load("test", "all", places)
    deployed = deployment.load_network(folder)
    with torch.inference_mode():
        said = deployed.answers({"all": batch.inputs})
    for task in dataset.tasks:
        name, target = task.name, batch.targets[task.name]
        answer = to_label(task, said[name], target)
        if name == "segmentation":
            np.testing.assert_array_equal(kept[f"prediction/{name}"], answer.argmax(1).numpy())
            np.testing.assert_array_equal(kept[f"truth/{name}"], target.numpy())
        else:
            np.testing.assert_allclose(kept[f"prediction/{name}"], answer.numpy(), rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(kept[f"truth/{name}"], target.numpy(), rtol=1e-3, atol=1e-3)
        assert kept[f"stream/{name}"].item() == "all"
    assert kept["input/all"].shape == (3, 32, 32, 3)


def test_every_method_keeps_the_same_items(tmp_path):
    dataset = Toy(ToyOptions())
    (_, one), (_, other) = run(tmp_path, dataset), run(tmp_path, dataset, "cross-stitch")
    assert one.keys() == other.keys()
    for key in one:
        if not key.startswith("prediction/"):
            np.testing.assert_array_equal(one[key], other[key])


def test_classifications_keep_probabilities_of_each_stream(tmp_path):
    dataset = ToyDomains(DataOptions())
    _, kept = run(tmp_path, dataset)
    for task in dataset.tasks:
        places = gallery.spread(len(dataset.indices("test", task.name)))
        truth = dataset.load("test", task.name, places).targets[task.name]
        np.testing.assert_array_equal(kept[f"truth/{task.name}"], truth.numpy())
        assert kept[f"prediction/{task.name}"].shape == (len(places), 3)
        np.testing.assert_allclose(kept[f"prediction/{task.name}"].sum(1), 1, rtol=1e-5)
        assert kept[f"input/{task.name}"].dtype == np.uint8


def test_a_shown_picture_is_the_input_turned_back():
    dataset = Scenes(ScenesOptions(images=2, test_images=2, size=32), None, None)
    inputs = dataset.load("test", "all", [0, 1]).inputs
    shown = dataset.shown(inputs)
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in dataset.normalisation)
    back = (torch.from_numpy(shown).permute(0, 3, 1, 2) / 255 - mean) / deviation
    assert (back - inputs).abs().max() <= (0.5 / 255 / deviation).max() + 1e-5


def test_inputs_that_are_no_pictures_are_not_shown():
    assert Toy(ToyOptions()).shown(torch.zeros(2, 4, 8, 8)) is None
    assert Toy(ToyOptions()).shown(torch.zeros(2, 8)) is None


@given(st.text(alphabet=CHARACTERS + " ", max_size=40))
def test_a_text_is_decoded_to_itself(text):
    assert decode(encode(text, 40)) == text


def test_texts_are_shown_without_padding():
    class Two(Texts):
        name = "two"

        def __init__(self):
            self.options = TextOptions()

    tokens = torch.stack([torch.from_numpy(encode(t, 12)).long() for t in ("Good film.", "é?")])
    assert Two().shown(tokens).tolist() == ["good film.", "\N{REPLACEMENT CHARACTER}?"]
