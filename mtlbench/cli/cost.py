"""`mtlbench cost`: what methods cost, without training and without data."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from mtlbench.errors import FOREIGN, ConfigError, PluginError, one_line, short, unknown
from mtlbench.given import bounded

if TYPE_CHECKING:
    from mtlbench.backbones import Architecture
    from mtlbench.deployed.network import DeployedNetwork
    from mtlbench.records import Cost
    from mtlbench.study.entries import Entry
    from mtlbench.tasks import Task

MOST_PIXELS = 16384  # a side
T = TypeVar("T")
HEADER = ("method", "backbone M", "ratio", "heads M", "total M", "GMAC", "GMAC backbone", "own passes", "ms", "MiB")


def cost(
    methods: Annotated[
        str, typer.Option(metavar="A,B", help="all, or names and file.py:Class, separated by commas.")
    ] = "all",
    backbone: Annotated[
        str, typer.Option(metavar="NAME", help="The network every method shares parts of.")
    ] = "resnet18",
    width: Annotated[float, typer.Option(metavar="W", help="Times the backbone's channels.")] = 1.0,
    head: Annotated[int, typer.Option(metavar="N", help="Hidden channels of dense heads.")] = 128,
    image_size: Annotated[str, typer.Option(metavar="SIZE", help="Side in pixels, or HEIGHTxWIDTH.")] = "224",
    length: Annotated[int | None, typer.Option(metavar="N", help="Characters of a text, for text backbones.")] = None,
    tasks: Annotated[
        str, typer.Option(metavar="A,B", help="Tasks as kind or kind:channels, separated by commas.")
    ] = "segmentation,normals,depth",
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="X.Y=V", help="method.option=value; many times.")
    ] = None,
    preset: Annotated[str, typer.Option(metavar="PRESET", help="quick, standard or paper.")] = "quick",
    latency: Annotated[bool, typer.Option("--latency/--no-latency", help="Measure the time of a pass.")] = True,
    threads: Annotated[int | None, typer.Option(metavar="N", help="Threads of a pass.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Parameters, multiply-adds, latency and memory of every method's deployed network.

    ratio: the backbone over hard sharing's. own passes: multiply-adds of the backbone with each task in its own pass.

    ms and MiB: for one input and all tasks.
    """
    import torch

    from mtlbench.deployed.latency import described, side_by_side
    from mtlbench.records import Latency
    from mtlbench.study.entries import check_backbone, entries
    from mtlbench.study.settings import gather

    bounded("--threads", 1 if threads is None else threads, 1, 1024)
    bounded("--length", 16 if length is None else length, 16, 2**20)
    settings = gather({"methods": methods, "set": set_, "preset": preset, "backbone": backbone})
    check_backbone(backbone)
    wanted = parse_tasks(tasks)
    architecture = _architecture(backbone, width, head, (length,) if length else (3, *image_sides(image_size)))
    loaders = {
        e.name: partial(untrained, e, preset, settings.set.get(e.name, {}), wanted, architecture)
        for e in entries(settings)
    }
    costs = {name: _guarded(name, partial(_cost, make)) for name, make in loaders.items()}
    if latency:
        threads = threads or torch.get_num_threads()
        samples = _guarded(", ".join(loaders), lambda: side_by_side(loaders, threads))
        for name, found in samples.items():
            costs[name].latency = Latency(threads=threads, **described(found))
    rows = list(costs.items())
    print(_json(rows) if as_json else _table(rows))
    return 0


def _cost(make: Callable[[], DeployedNetwork]) -> Cost:
    from mtlbench.deployed.cost import measure, plain_backbone_parameters

    network = make()
    return measure(network, plain_backbone_parameters(network.build))


def _guarded(name: str, do: Callable[[], T]) -> T:
    """What `do` gives; PluginError where a method's own code fails."""
    from mtlbench.errors import MtlbenchError

    try:
        return do()
    except MtlbenchError:
        raise
    except FOREIGN as error:
        raise PluginError(f"method '{name}' cannot be measured: {one_line(error)}") from error


def _architecture(backbone: str, width: float, head: int, shape: tuple[int, ...]) -> Architecture:
    from mtlbench.backbones import Architecture
    from mtlbench.config import RunConfig, parse

    values = {"method": "any", "tasks": ("any",), "steps": 1, "backbone": backbone, "width": width, "head": head}
    config = parse(RunConfig, values, "cost")
    return Architecture(backbone=backbone, shape=shape, width=config.width, head=config.head)


def image_sides(text: str) -> tuple[int, int]:
    """Text like "224" or "256x512" as (height, width); ConfigError for anything else or less than 16."""
    match = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", text)
    sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 16 <= min(sides) <= max(sides) <= MOST_PIXELS:
        raise ConfigError(
            f"image size is '{short(text)}' (allowed: pixels from 16 to {MOST_PIXELS}, like 224 or 256x512)"
        )
    return sides


def parse_tasks(text: str) -> list[Task]:
    """Text like "segmentation:40,normals" as tasks; a bare name takes the channels that the data set scenes gives it."""
    from mtlbench import plugins
    from mtlbench.data.scenes import FIVE
    from mtlbench.tasks import Task

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


def untrained(
    e: Entry, preset: str, given: dict[str, Any], tasks: Sequence[Task], architecture: Architecture
) -> DeployedNetwork:
    """What one method would deploy, untrained."""
    from mtlbench import plugins
    from mtlbench.config import parse
    from mtlbench.deployed import cost

    if e.cls is None:
        plugins.load("methods", e.spec)  # says why it cannot be loaded
    defaults = e.cls.defaults(preset, "scenes", [t.name for t in tasks])
    options = parse(e.cls.Options, {**defaults, **given}, f"method {e.name}")
    maker = plugins.load("backbones", architecture.backbone)
    return cost.untrained(e.cls, options, tasks, architecture, maker)


def _table(rows: Sequence[tuple[str, Cost]]) -> str:
    from mtlbench.study.display import table

    return table(HEADER, [_cells(name, c) for name, c in rows]) + _uncounted(rows)


def _cells(name: str, c: Cost) -> tuple[str, ...]:
    p, m = c.parameters, c.macs
    millions = [f"{n / 1e6:.2f}" for n in (p.heads, p.total)]
    billions = [f"{n / 1e9:.2f}" for n in (m.total, m.backbone, m.backbone_own_pass)]
    time = f"{c.latency.median_ms:.1f}" if c.latency else ""
    memory = f"{c.peak_memory / 2**20:.0f}" if c.peak_memory else ""
    return (name, f"{p.backbone / 1e6:.2f}", f"{p.ratio:.3f}", *millions, *billions, time, memory)


def _uncounted(rows: Sequence[tuple[str, Cost]]) -> str:
    names = sorted({n for _, c in rows for n in c.uncounted})
    return f"\nnot in the multiply-adds: {', '.join(names)}" if names else ""


def _json(rows: Sequence[tuple[str, Cost]]) -> str:
    from mtlbench.records import finite

    costs = [{"method": name, **c.model_dump(exclude={"kind", "attempt"})} for name, c in rows]
    return json.dumps(finite(costs), indent=2)
