"""`mtlbench latency`: the networks of a results folder timed side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtlbench import given
from mtlbench.cli.network import Plugins
from mtlbench.errors import ConfigError
from mtlbench.given import path, spec


def latency(
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="A results folder.")] = "results",
    threads: Annotated[int, typer.Option(metavar="N", min=1, max=1024, help="Threads of a pass.")] = 1,
    device: Annotated[str, typer.Option(metavar="DEVICE", help="cpu, cuda or cuda:1.")] = "cpu",
    plugin: Plugins = None,
) -> int:
    """Time every deployed network side by side, in turns, and keep the medians and quartiles in the records.

    Nothing else should run on the machine meanwhile. Latencies of one session are comparable, of different ones not.
    """
    folder = Path(path(results, "RESULTS"))
    if not (folder / "records").is_dir():
        raise ConfigError(f"'{results}' is not a results folder (it has no records)")
    from mtlbench.cli.acts import latency as act

    rows = act.measure_all(folder, [spec(p) for p in plugin or ()], given.device(device), threads)
    return 0 if all(row.line for row in rows) else 1
