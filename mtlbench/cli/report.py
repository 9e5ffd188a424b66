"""`mtlbench report` and `mtlbench compare`: from records alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mtlbench.errors import ConfigError
from mtlbench.given import bounded, path


def report(
    context: typer.Context,
    results: Annotated[str, typer.Argument(metavar="RESULTS", help="A results folder.")] = "results",
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where tables and figures go; beside the records by default.")
    ] = None,
    max_params: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="Name the best method within such as 1.5x or 20M parameters.")
    ] = None,
    max_macs: Annotated[
        str | None, typer.Option(metavar="LIMIT", help="Within such as 2x or 20G multiply-adds.")
    ] = None,
    max_latency: Annotated[str | None, typer.Option(metavar="LIMIT", help="Within such as 50ms a pass.")] = None,
    tensorboard: Annotated[
        str | None,
        typer.Option(
            metavar="[DIR]", help="Also curves for TensorBoard; in 'tensorboard' beside the tables by default."
        ),
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print every figure as JSON instead of the table.")] = False,
) -> int:
    """Tables, figures and a page from records alone; with limits, also the best method within them."""
    from mtlbench.cli.acts import report as act

    within = (max_params, max_macs, max_latency)
    act.limits(*within)  # what is wrong with them is told first
    if tensorboard and _is_results(context, tensorboard):
        results, tensorboard = tensorboard, ""
    results = path(results, "RESULTS")
    _folder(results, "records")
    where = results if out is None else path(out, "--out")
    curves = (
        None if tensorboard is None else path(tensorboard, "--tensorboard") if tensorboard else f"{where}/tensorboard"
    )
    if curves is not None:
        act.need()
    act.report(results, where, within, json_)
    if curves is not None:
        print(act.curves(results, curves, swept=not tensorboard), file=sys.stderr if json_ else sys.stdout)
    return 0


def _is_results(context: typer.Context, folder: str) -> bool:
    """Whether the folder behind --tensorboard is the argument RESULTS: `mtlbench report --tensorboard results`."""
    given = context.get_parameter_source("results")
    return given is not None and given.name == "DEFAULT" and Path(path(folder, "--tensorboard"), "records").is_dir()


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A results folder, or FOLDER@COMMIT.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    tolerance: Annotated[
        float, typer.Option(metavar="PERCENT", help="How much a metric may fall where one seed tests none.")
    ] = 10.0,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """What changed between two results folders, with intervals; exit code 1 where something became worse."""
    bounded("--tolerance", tolerance, 0, 1e6)
    from mtlbench.cli.acts import report as act

    return 1 if act.compare(path(first, "A"), path(second, "B"), tolerance, json_) else 0


def _folder(folder: str, inside: str) -> None:
    if not (Path(folder) / inside).is_dir():
        hint = "no such folder" if not Path(folder).exists() else f"it has no folder '{inside}'"
        raise ConfigError(f"'{folder}' holds no results: {hint} (a folder that `mtlbench run --out` wrote is expected)")
