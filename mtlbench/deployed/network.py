"""A trained network on disk and back: the method's selected weights, and what is needed to build around them again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build
from mtlbench.config import RunConfig, parse
from mtlbench.errors import CheckpointError
from mtlbench.method import Method, Where
from mtlbench.records import read_run
from mtlbench.tasks import Task

FILE = "model.safetensors"


@dataclass(frozen=True)
class Deployed:
    """A network ready to predict: `network(x, tasks)` in eval mode, for inputs of `shape`."""

    network: nn.Module
    build: Build
    tasks: tuple[Task, ...]
    streams: Mapping[str, list[str]]
    shape: tuple[int, ...]


def save(folder: Path, method: Method) -> None:
    """Write the method's weights, and where training stood when they were chosen, beside the record."""
    state = {name: value.detach().cpu().clone().contiguous() for name, value in method.state_dict().items()}
    save_file(state, folder / FILE, metadata={"where": json.dumps(asdict(method.where))})


def load(folder: Path, method: str | None = None) -> Deployed:
    """The deployed network of a finished run's folder; `method` names the class of a user's own (file.py:Class).

    Needs no data. Raises RecordError or CheckpointError where the record or the weights are missing or do not fit.
    """
    run = read_run(folder)
    path = folder / FILE
    if not path.is_file():
        raise CheckpointError(f"run '{folder}' has no '{FILE}' (it is {run.status}; run it again with --force)")
    config = RunConfig.model_validate(run.start.config)
    tasks = tuple(Task(t.name, t.kind, t.channels, derived=t.derived) for t in run.start.tasks)
    shape = tuple(run.start.shape)
    kind = plugins.load("methods", method or config.method)
    maker = plugins.load("backbones", config.backbone)
    architecture = Architecture(
        config.backbone, shape, config.width, config.head, config.dropout, config.init, config.batchnorm
    )
    build = Build(architecture, maker, config.seed, tuple(run.start.streams))
    network: Method = kind(parse(kind.Options, dict(config.options), f"method '{config.method}'"), build, tasks)
    try:
        with safe_open(path, "pt") as file:
            network.where = Where(**json.loads((file.metadata() or {})["where"]))
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"'{path}' does not fit its record: {' '.join(str(error).split())[:200]}") from error
    return Deployed(network.eval().deployed().eval(), build, tasks, run.start.streams, shape)
