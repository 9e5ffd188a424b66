"""`mtlbench predict`: what a run's network sees in an image, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mtlbench import plugins
from mtlbench.data.base import Dataset
from mtlbench.data.disk.images import photo
from mtlbench.deployed.network import DeployedNetwork, load_network
from mtlbench.errors import ConfigError, DataError
from mtlbench.records import read_run
from mtlbench.tasks import Task
from mtlbench.tasks.losses import to_label
from mtlbench.tasks.pictures import DENSE, MAPS, Array, coloured, span

INCHES = 2.6  # side of a panel


def opened(folder: Path, own: Sequence[str]) -> tuple[DeployedNetwork, type[Dataset]]:
    """A run's network and its data set's class, which need not have its data; `own` names classes that are not registered.

    Raises what `load_network` does, and ConfigError or PluginError where the data set may not or cannot be loaded.
    """
    found, named = plugins.Named(own).load("datasets", read_run(folder).start.dataset)
    kind = plugins.checked(found, Dataset, "data set", named)  # type: ignore[type-abstract]
    return load_network(folder, own), kind


def draw(deployed: DeployedNetwork, kind: type[Dataset], image: Path, out: Path) -> None:
    """Write the image and every task's prediction for it as a PNG; `kind`, the data set's class, normalises its inputs.

    Raises ConfigError for a network that reads no images, DataError for a file that is none.
    """
    if len(deployed.shape) != 3:
        raise ConfigError(f"the run's inputs have the shape {deployed.shape} (allowed: a run on images)")
    pixels = read(image, deployed.shape[1], deployed.shape[2])
    answers = predict(deployed, normalised(pixels, kind))
    tasks = {t.name: t for t in deployed.tasks}
    said = [tasks[name].meaning.say(tasks[name], value) for name, value in answers.items() if not tasks[name].dense]
    panels = [("\n".join(["input", *said]), pixels)]
    panels += [panel(tasks[name], value) for name, value in answers.items() if tasks[name].meaning.view in DENSE]
    _sheet(panels, out)


def read(path: Path, height: int, width: int) -> Array:
    """An image file's middle in the wanted proportions, as RGB (height, width, 3) uint8."""
    try:
        whole = Image.fromarray(photo(path))
    except DataError as error:
        raise DataError(f"cannot read the image {error}") from error
    return np.asarray(ImageOps.fit(whole, (width, height), Image.Resampling.BILINEAR))


def normalised(pixels: Array, kind: type[Dataset]) -> Tensor:
    """Pixels (H, W, 3) as the data set gives them to a network: (1, 3, H, W)."""
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in kind.normalisation)
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 255
    return ((x - mean) / deviation).unsqueeze(0)


@torch.inference_mode()
def predict(deployed: DeployedNetwork, x: Tensor) -> dict[str, Tensor]:
    """Every task's output for one input (1, C, H, W), at the input's resolution where it is dense."""
    answers = deployed.answers(dict.fromkeys(deployed.streams, x))
    like = x[:, :1]
    return {t.name: to_label(t, answers[t.name].float(), like) for t in deployed.tasks}


def panel(task: Task, value: Tensor) -> tuple[str, Array]:
    """A dense prediction (1, C, H, W) as a titled picture."""
    view = task.meaning.view
    label = task.meaning.answer(task, value)[0]
    if view not in MAPS:
        return task.name, coloured(view, label, task.channels)
    low, high = span(label)
    return f"{task.name}\n{low:.3g} to {high:.3g} {task.unit}".rstrip(), coloured(view, label)


def _sheet(panels: list[tuple[str, Array]], out: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(INCHES * len(panels), INCHES * _tallness(panels) + 0.5), layout="constrained", dpi=110)
    axes: Any = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, picture) in zip(axes, panels, strict=True):
        axis.imshow(picture, interpolation="nearest")
        axis.set_title(title, fontsize=9)
        axis.axis("off")
    try:
        figure.savefig(out)
    except (OSError, ValueError) as error:  # ValueError: a suffix matplotlib cannot write
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot write '{out}': {reason}") from error


def _tallness(panels: list[tuple[str, Array]]) -> float:
    height, width = panels[0][1].shape[:2]
    return float(height / width)
