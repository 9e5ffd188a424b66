"""What methods cost: their networks built and measured."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import torch

from mtlbench import plugins
from mtlbench.backbones import Architecture
from mtlbench.cli.tables import table
from mtlbench.config import RunConfig, parse
from mtlbench.data.scenes import FIVE
from mtlbench.deployed.cost import measure, plain_backbone_parameters
from mtlbench.deployed.cost import untrained as untrained_network
from mtlbench.deployed.latency import described, side_by_side
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.errors import FOREIGN, ConfigError, MtlbenchError, PluginError, one_line, short, unknown
from mtlbench.records import Cost, Latency, finite
from mtlbench.study.entries import Entry, check_backbone, entries
from mtlbench.study.settings import Settings
from mtlbench.tasks import Task

T = TypeVar("T")
Costs = Mapping[str, Cost]
"""Method -> what its deployed network costs."""
HEADER = (
    "method",
    "backbone\nM",
    "times\nplain",
    "heads\nM",
    "all\nM",
    "all\ntasks\nGMAC",
    "backbone\nGMAC",
    "own\npasses\nGMAC",
    "pass\nms",
    "peak\nMiB",
)


def measured(
    settings: Settings, tasks: Sequence[Task], architecture: Architecture, latency: bool, threads: int | None
) -> Costs:
    """What every method of the settings costs; with `latency` all are timed side by side, with so many threads a pass."""
    check_backbone(architecture.backbone)
    loaders = {
        e.name: partial(_untrained, e, settings.preset, settings.set.get(e.name, {}), tasks, architecture)
        for e in entries(settings)
    }
    costs: dict[str, Cost] = {name: _guarded(name, partial(_cost, make)) for name, make in loaders.items()}
    if latency:
        threads = threads or torch.get_num_threads()
        samples = _guarded(", ".join(loaders), lambda: side_by_side(loaders, threads))
        for name, found in samples.items():
            costs[name].latency = Latency(threads=threads, **described(found))
    return costs


def _cost(make: Callable[[], DeployedNetwork]) -> Cost:
    network = make()
    return measure(network, plain_backbone_parameters(network.build))


def _guarded(name: str, do: Callable[[], T]) -> T:
    """What `do` gives; PluginError where a method's own code fails."""
    try:
        return do()
    except MtlbenchError:
        raise
    except FOREIGN as error:
        raise PluginError(f"method '{name}' cannot be measured: {one_line(error)}") from error


def architecture(backbone: str, width: float, head: int, shape: tuple[int, ...]) -> Architecture:
    """What the networks are built as; ConfigError for a width or head that no run may have."""
    values = {"method": "any", "tasks": ("any",), "steps": 1, "backbone": backbone, "width": width, "head": head}
    config = parse(RunConfig, values, "cost")
    return Architecture(backbone=backbone, shape=shape, width=config.width, head=config.head)


def parse_tasks(text: str) -> list[Task]:
    """Text like "segmentation:40,normals" as tasks; a bare name takes the channels that the data set scenes gives it."""
    channels = {t.name: t.channels for t in FIVE}
    found: dict[str, Task] = {}
    for part in text.split(","):
        name, colon, count = part.strip().partition(":")
        if name not in plugins.names("kinds"):
            raise unknown("task kind", name, plugins.names("kinds"))
        if not (re.fullmatch("0*[1-9][0-9]{0,4}", count) if colon else name in channels):
            raise ConfigError(
                f"task '{short(part)}' has no channels (allowed: {name}:CHANNELS with a whole number from 1 to 99999)"
            )
        if name in found:
            raise ConfigError(f"task '{name}' is named twice in '{text}'")
        found[name] = Task(name, name, int(count) if colon else channels[name])
    return list(found.values())


def _untrained(
    e: Entry, preset: str, given: dict[str, Any], tasks: Sequence[Task], architecture: Architecture
) -> DeployedNetwork:
    """What one method would deploy, untrained."""
    if e.cls is None:
        plugins.load("methods", e.spec)  # says why it cannot be loaded
    defaults = e.cls.defaults(preset, "scenes", [t.name for t in tasks])
    options = parse(e.cls.Options, {**defaults, **given}, f"method {e.name}")
    maker = plugins.load("backbones", architecture.backbone)
    return untrained_network(e.cls, options, tasks, architecture, maker)


def as_table(costs: Costs) -> str:
    """A line a method, for the terminal."""
    return table(HEADER, [_cells(name, c) for name, c in costs.items()]) + _uncounted(costs)


def _cells(name: str, c: Cost) -> tuple[str, ...]:
    p, m = c.parameters, c.macs
    millions = [f"{n / 1e6:.2f}" for n in (p.heads, p.total)]
    billions = [f"{n / 1e9:.2f}" for n in (m.total, m.backbone, m.backbone_own_pass)]
    time = f"{c.latency.median_ms:.1f}" if c.latency else ""
    memory = f"{c.peak_memory / 2**20:.0f}" if c.peak_memory else ""
    return (name, f"{p.backbone / 1e6:.2f}", f"{p.ratio:.3f}", *millions, *billions, time, memory)


def _uncounted(costs: Costs) -> str:
    names = sorted({n for c in costs.values() for n in c.uncounted})
    return f"\nnot in the multiply-adds: {', '.join(names)}" if names else ""


def as_json(costs: Costs) -> str:
    """Every figure, as JSON."""
    rows = [{"method": name, **c.model_dump(exclude={"kind", "attempt"})} for name, c in costs.items()]
    return json.dumps(finite(rows), indent=2)
