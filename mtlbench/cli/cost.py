"""`mtlbench cost`: what methods cost, without training and without data."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from mtlbench.errors import ConfigError, short
from mtlbench.given import bounded
from mtlbench.study.settings import gather

MOST_PIXELS = 16384  # a side


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

    times plain: the backbone over hard sharing's. own passes: the backbone's multiply-adds with each task in its own pass.

    ms and MiB: for one input and all tasks.
    """
    bounded("--threads", 1 if threads is None else threads, 1, 1024)
    bounded("--length", 16 if length is None else length, 16, 2**20)
    settings = gather({"methods": methods, "set": set_, "preset": preset, "backbone": backbone})
    shape = (length,) if length else (3, *image_sides(image_size))
    from mtlbench.cli.acts import cost as act

    architecture = act.architecture(backbone, width, head, shape)
    costs = act.measured(settings, act.parse_tasks(tasks), architecture, latency, threads)
    print(act.as_json(costs) if as_json else act.as_table(costs))
    return 0


def image_sides(text: str) -> tuple[int, int]:
    """Text like "224" or "256x512" as (height, width); ConfigError for anything else or less than 16."""
    match = re.fullmatch(r"([0-9]{1,5})(?:x([0-9]{1,5}))?", text)
    sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not 16 <= min(sides) <= max(sides) <= MOST_PIXELS:
        raise ConfigError(
            f"image size is '{short(text)}' (allowed: pixels from 16 to {MOST_PIXELS}, like 224 or 256x512)"
        )
    return sides
