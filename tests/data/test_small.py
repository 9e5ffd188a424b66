"""Sets of very few items, and options beyond their bounds: said before training, in words that name what is allowed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from mtlbench.errors import ConfigError, DataError
from mtlbench.runs.runner import execute, plan
from mtlbench.study.settings import gather
from mtlbench.study.study import open_for, resolve, runs
from tests.helpers import layouts_on_disk as disk

pytestmark = pytest.mark.usefixtures("own_cache")


def few(root: Path, train: int, test: int = 1) -> dict[str, object]:
    for split, count in (("train", train), ("test", test)):
        for i in range(count):
            disk.png(root / f"photo/c{i % 2}/{split}{i}.png", np.full((16, 16, 3), i, np.uint8))
        (root / f"photo_{split}.txt").write_text(
            "".join(f"photo/c{i % 2}/{split}{i}.png {i % 2}\n" for i in range(count))
        )
    return {"dataset": "domains", "data_dir": str(root), "set": ["domains.size=16"], "out": str(root / "out"), "steps": "2",
            "batch_size": "2", "device": "cpu"}  # fmt: skip


@pytest.mark.parametrize("method", ["hard-sharing", "adashare"])
def test_one_training_image_is_an_error_before_training(tmp_path: Path, method: str) -> None:
    flags = few(tmp_path, 1, 2)
    with pytest.raises(
        DataError, match=r"'val' of 'photo' would be empty: 1 training and 2 test items .allowed: at least 2"
    ):
        resolve(gather({**flags, "methods": method}))


def test_two_training_images_are_enough_unless_both_shares_are_needed(tmp_path: Path) -> None:
    flags = few(tmp_path, 2)
    (request,) = runs(resolve(gather({**flags, "methods": "hard-sharing"})))
    assert execute(request).status == "finished"
    (request,) = runs(resolve(gather({**flags, "methods": "adashare", "steps": "40"})))
    with pytest.raises(DataError, match="'train-b' of 'photo' would be empty: 2 training and 1 test items"):
        plan(request)
    outcome = execute(request)
    assert (outcome.status, "would be empty" in outcome.reason) == ("failed", True)


@pytest.mark.parametrize(("option", "says"), [
    *((f"val_fraction={v}", "val_fraction") for v in (math.nan, math.inf, -1, 0, 1, 5, "x")),
    *((f"zoom_min={v}", "zoom_min") for v in (math.nan, math.inf, 0, -1, 100)), ("zoom_min=2", "zoom"), ("crop=0", "crop"),
    ("crop=-8", "crop"),
    ("crop=17", "crop is 17 (allowed: up to 16"), ("size=0", "size"), ("size=1e9", "size"), ("first=0", "first"),
    ("mirror=7", "mirror"),
])  # fmt: skip
def test_options_beyond_their_bounds_name_them(tmp_path: Path, option: str, says: str) -> None:
    flags = few(tmp_path, 4)
    with pytest.raises(ConfigError) as caught:
        open_for(gather({**flags, "set": [*flags["set"], f"domains.{option}"]}))
    assert says in str(caught.value)
    assert "allowed" in str(caught.value) or "should be" in str(caught.value)
