"""A trained network: what it answers, and how it gets to disk and back (the selected weights and what is built around them)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as serialized
from torch import Tensor, nn

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build
from mtlbench.config import RunConfig, parse
from mtlbench.errors import CheckpointError, unknown
from mtlbench.method import Budget, Method, Where
from mtlbench.records import read_run, verify
from mtlbench.records.files import write_whole
from mtlbench.tasks import Task

FILE = "model.safetensors"


@dataclass(frozen=True)
class DeployedNetwork:
    """A network as it is shipped: all one does with it goes through `answers`, which sets the running stream itself.

    `streams` maps each input to the tasks it serves, `shape` is one input's. `network(x, tasks)` alone would run on
    whatever stream ran last.
    """

    network: nn.Module
    build: Build
    tasks: tuple[Task, ...]
    streams: Mapping[str, Sequence[str]]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, method: Method, streams: Mapping[str, Sequence[str]], shape: Sequence[int]) -> DeployedNetwork:
        """What a method would ship now, for inputs of `shape` on these streams; shares the method's modules and mode."""
        return cls(method.deployed(), method.build, method.tasks, streams, tuple(shape))

    def answers(self, inputs: Mapping[str, Tensor], tasks: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The tasks' raw outputs for a batch (B, *shape) of each given stream, at the network's own resolution.

        Of the tasks that the given streams serve only `tasks` where they are named, and nothing else is computed.
        Raises UnknownName for a stream or a task that is not the network's.
        """
        for stream in inputs:
            if stream not in self.streams:
                raise unknown("input stream", stream, self.streams)
        served = [task for stream in inputs for task in self.streams[stream]]
        for task in tasks or ():
            if task not in served:
                raise unknown("task", task, served)
        found: dict[str, Tensor] = {}
        for stream, x in inputs.items():
            wanted = tuple(t for t in self.streams[stream] if tasks is None or t in tasks)
            if wanted:
                self.build.stream = stream
                found |= self.network(x, wanted)
        return found

    @contextmanager
    def resting(self) -> Iterator[None]:
        """Eval mode for as long as it is looked at; every module's own mode is restored."""
        modes = [(module, module.training) for module in self.network.modules()]
        self.network.eval()
        try:
            yield
        finally:
            for module, training in modes:
                module.training = training


def save(folder: Path, method: Method) -> str:
    """Write the method's weights, and where training stood when they were chosen, beside the record; the file's SHA-256."""
    state = {name: value.detach().cpu().clone().contiguous() for name, value in method.state_dict().items()}
    budget = json.dumps({"steps": method.budget.steps, "epoch": dict(method.budget.epoch)})
    return write_whole(folder / FILE, serialized(state, {"where": json.dumps(asdict(method.where)), "budget": budget}))


def load_network(folder: str | Path, own: Sequence[str] = ()) -> DeployedNetwork:
    """The deployed network of a finished run's folder; `own` names classes that are not registered (file.py:Class).

    Needs no data. The record is data: what it names is imported only where it is registered or in `own`. Raises
    RecordError or CheckpointError where the record or the weights are missing or do not fit, ConfigError where the
    record names what it may not, PluginError where something named is not what it should be.
    """
    named = plugins.Named(own)
    folder = Path(folder)
    run = read_run(folder)
    path = folder / FILE
    if not path.is_file():
        raise CheckpointError(f"run '{folder}' has no '{FILE}' (it is {run.status}; run it again with --force)")
    for artefact in run.artefacts:
        if artefact.path == FILE:
            verify(folder, artefact)
    config: RunConfig = parse(RunConfig, run.start.config, f"record '{folder}'")
    tasks = tuple(
        Task(t.name, named.load("kinds", t.kind)[0], t.channels, t.unit, t.derived, tuple(t.classes))
        for t in run.start.tasks
    )
    shape = tuple(run.start.shape)
    found, spec = named.load("methods", config.method)
    kind = plugins.checked(found, Method, "method", spec)
    maker, _ = named.load("backbones", config.backbone)
    architecture = Architecture(
        config.backbone, shape, config.width, config.head, config.dropout, config.init, config.batchnorm
    )
    build = Build(architecture, maker, config.seed, tuple(run.start.streams))
    network: Method = kind(parse(kind.Options, dict(config.options), f"method '{config.method}'"), build, tasks)
    try:
        with safe_open(path, "pt") as file:
            said = {name: json.loads(text) for name, text in (file.metadata() or {}).items()}
        network.where, network.budget = Where(**said["where"]), Budget(**said.get("budget", {"steps": 0, "epoch": {}}))
        network.load_state_dict(load_file(path))
    except (SafetensorError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise CheckpointError(f"'{path}' does not fit its record: {' '.join(str(error).split())[:200]}") from error
    network.eval()
    deployed = DeployedNetwork.of(network, run.start.streams, shape)
    deployed.network.eval()
    return deployed
