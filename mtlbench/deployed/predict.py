"""`mtlbench predict`: what a run's network sees in an image, as one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from mtlbench.tasks.pictures import DENSE, MAPS, Array, coloured, palette, span

INCHES = 2.6  # side of a panel
LINE = 0.17  # inches of a line of a legend
COLUMNS, LONGEST, MOST = 2, 16, 16  # of a legend: beside each other, letters of a name, and classes in all


@dataclass(frozen=True)
class Panel:
    """A titled picture; below it the classes in it, the largest first, or what its colours mean."""

    title: str
    picture: Array
    classes: tuple[tuple[str, Array], ...] = ()  # name and colour
    scale: tuple[str, float, float, str] | None = None  # colour map, the values at its ends, their unit


def opened(folder: Path, own: Sequence[str]) -> tuple[DeployedNetwork, type[Dataset]]:
    """A run's network and its data set's class, which need not have its data; `own` names classes that are not registered.

    Raises what `load_network` does, and ConfigError or PluginError where the data set may not or cannot be loaded.
    """
    found, named = plugins.Named(own).load("datasets", read_run(folder).start.dataset)
    kind = plugins.checked(found, Dataset, "data set", named)  # type: ignore[type-abstract]
    return load_network(folder, own), kind


def draw(deployed: DeployedNetwork, kind: type[Dataset], image: Path, out: Path) -> list[str]:
    """Write the image and every task's prediction for it as a PNG; `kind`, the data set's class, normalises its inputs.

    Returns the answers of the tasks that are no pictures, in words.

    Raises ConfigError for a network that reads no images, DataError for a file that is none.
    """
    if len(deployed.shape) != 3:
        raise ConfigError(f"the run's inputs have the shape {deployed.shape} (allowed: a run on images)")
    pixels = read(image, deployed.shape[1], deployed.shape[2])
    answers = predict(deployed, normalised(pixels, kind))
    tasks = {t.name: t for t in deployed.tasks}
    said = [tasks[name].meaning.say(tasks[name], value) for name, value in answers.items() if not tasks[name].dense]
    panels = [Panel("\n".join(["input", *said]), pixels)]
    panels += [panel(tasks[name], value) for name, value in answers.items() if tasks[name].meaning.view in DENSE]
    _sheet(panels, out)
    return said


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


def panel(task: Task, value: Tensor) -> Panel:
    """A dense prediction (1, C, H, W) as a panel."""
    view = task.meaning.view
    label = task.meaning.answer(task, value)[0]
    picture = coloured(view, label, task.channels)
    if view == "classes":
        return Panel(task.name, picture, _classes(task, label))
    if view not in MAPS:
        return Panel(task.name, picture)
    low, high = span(label)
    return Panel(
        f"{task.name}\n{low:.3g} to {high:.3g} {task.unit}".rstrip(), picture, (), (MAPS[view], low, high, task.unit)
    )


def _classes(task: Task, label: Array) -> tuple[tuple[str, Array], ...]:
    """The classes of a map (H, W) that cover most, with their colours; the last entry counts those that are left out."""
    areas = np.bincount(label[label >= 0].ravel(), minlength=task.channels)
    seen = [int(c) for c in np.argsort(-areas, kind="stable") if areas[c]]
    names = [task.classes[c] if c < len(task.classes) else str(c) for c in seen[:MOST]]
    short = [n if len(n) <= LONGEST else n[: LONGEST - 1] + "…" for n in names]
    told = [(name, palette(task.channels)[c] / 255) for name, c in zip(short, seen, strict=False)]
    left = len(seen) - MOST
    return (*told, (f"and {left} more", np.ones(3))) if left > 0 else tuple(told)


def _sheet(panels: list[Panel], out: Path) -> None:
    from matplotlib.figure import Figure

    lines = max(-(-len(p.classes) // COLUMNS) for p in panels)
    below = max(LINE * lines, 3 * LINE * any(p.scale for p in panels)) + LINE
    above = LINE * max(p.title.count("\n") + 1 for p in panels) + LINE
    height, width = panels[0].picture.shape[:2]
    size = (INCHES * len(panels), INCHES * height / width + above + below)
    figure = Figure(figsize=size, layout="constrained", dpi=110)
    axes: Any = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, each in zip(axes, panels, strict=True):
        axis.imshow(each.picture, interpolation="nearest")
        axis.set_title(each.title, fontsize=9)
        axis.axis("off")
        _explain(axis, each)
    try:
        figure.savefig(out, bbox_inches="tight", pad_inches=0.1)
    except (OSError, ValueError) as error:  # ValueError: a suffix matplotlib cannot write
        reason = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"cannot write '{out}': {reason}") from error


def _explain(axis: Any, panel: Panel) -> None:
    """What a panel's colours mean, below it."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Patch

    if panel.classes:
        handles = [Patch(facecolor=tuple(colour), label=name) for name, colour in panel.classes]
        place = {"loc": "upper center", "bbox_to_anchor": (0.5, 0.0), "ncols": COLUMNS}
        axis.legend(handles=handles, fontsize=7, handlelength=1, frameon=False, borderaxespad=0.2, **place)
    if panel.scale:
        name, low, high, unit = panel.scale
        colours = ScalarMappable(Normalize(low, high if high > low else low + 1), name)
        bar = axis.figure.colorbar(colours, cax=axis.inset_axes((0.0, -0.08, 1.0, 0.045)), orientation="horizontal")
        bar.ax.tick_params(labelsize=7)
        bar.set_label(unit, fontsize=7)
