"""`mtlbench latency`: the networks of a results folder timed side by side; also the last stage of `mtlbench run`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtlbench import given
from mtlbench.cli.network import Plugins
from mtlbench.errors import ConfigError
from mtlbench.given import path, spec

if TYPE_CHECKING:
    from mtlbench.deployed.latency import Row

WIDE = 0.2  # of the median: the report shows no latency whose quartiles are further apart


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
    from mtlbench.study.study import available

    device = available(given.device(device))
    from mtlbench.deployed.latency import measurable

    folders = measurable(folder)
    if not folders:
        raise ConfigError(f"'{results}' has no finished run with a network")
    rows = side_by_side(folders, [spec(p) for p in plugin or ()], device, threads)
    return 0 if all(row.line for row in rows) else 1


def side_by_side(folders: Sequence[Path], own: Sequence[str], device: str, threads: int) -> list[Row]:
    """Measure, and print a line a run."""
    from mtlbench import records
    from mtlbench.deployed.latency import measure, processor_of
    from mtlbench.study.display import table

    print(
        f"latency: {len(folders)} networks side by side, {threads} thread{'s' * (threads > 1)} of {processor_of(device)}"
    )
    rows = measure(folders, own, device, threads)
    cells = []
    for row in rows:
        start = records.read_run(row.folder).start
        if row.line is None:
            cells.append((start.method, start.seed, "n/a", row.reason))
        else:
            wide = row.line.high_ms - row.line.low_ms > WIDE * row.line.median_ms
            spread = f"{row.line.low_ms:.2f} to {row.line.high_ms:.2f}"
            note = spread + (" (too wide to be shown: was the machine busy?)" if wide else "")
            cells.append((start.method, start.seed, f"{row.line.median_ms:.2f}", note))
    print(table(("method", "seed", "ms", "quartiles"), cells))
    return rows
