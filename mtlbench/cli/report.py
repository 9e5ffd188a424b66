"""`mtlbench report` and `mtlbench compare`: from records alone."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mtlbench.cli.figures import as_json, of_comparison, of_report
from mtlbench.errors import ConfigError
from mtlbench.given import bounded, path

if TYPE_CHECKING:
    from mtlbench.report.report import Report

PLAIN_WIDTH = 200  # characters of a table that no terminal limits


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
    from mtlbench.report.recommend import limits, recommend

    wanted = limits(max_params, max_macs, max_latency)
    if tensorboard and _is_results(context, tensorboard):
        results, tensorboard = tensorboard, ""
    results = path(results, "RESULTS")
    _folder(results, "records")
    where = results if out is None else path(out, "--out")
    curves = None if tensorboard is None else _curves(tensorboard, where)
    if json_:
        from mtlbench.report import build

        print(as_json(of_report(build.write(Path(results), Path(where)))))
    else:
        written = write_report(results, where)
        if wanted:
            print("\n" + recommend(written, max_params, max_macs, max_latency).text())
    if curves is not None:
        said = _write_curves(results, curves, swept=not tensorboard)
        print(said, file=sys.stderr if json_ else sys.stdout)
    return 0


def _is_results(context: typer.Context, folder: str) -> bool:
    """Whether the folder behind --tensorboard is the argument RESULTS: `mtlbench report --tensorboard results`."""
    given = context.get_parameter_source("results")
    return given is not None and given.name == "DEFAULT" and Path(path(folder, "--tensorboard"), "records").is_dir()


def _curves(folder: str, out: str) -> Path:
    """Where curves for TensorBoard go; refused before anything is written where that library is missing."""
    from mtlbench.report.events import need

    need()
    return Path(path(folder, "--tensorboard")) if folder else Path(out) / "tensorboard"


def _write_curves(results: str, folder: Path, swept: bool) -> str:
    from mtlbench.report.events import write_events

    count = len(write_events(Path(results), folder, swept))
    return f"curves of {count} runs: tensorboard --logdir {shlex.quote(str(folder))}"


def write_report(results: str, out: str) -> Report:
    """Write the report of a results folder and print its table."""
    from rich.console import Console

    from mtlbench.report import build
    from mtlbench.report.terminal import terminal

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    written = build.write(Path(results), Path(out))
    console.print(*terminal(written), sep="\n")
    print(f"the whole report: {Path(out) / 'index.html'}")
    return written


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A results folder, or FOLDER@COMMIT.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    tolerance: Annotated[
        float, typer.Option(metavar="PERCENT", help="How much a metric may fall where one seed tests none.")
    ] = 10.0,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """What changed between two results folders, with intervals; exit code 1 where something became worse."""
    from mtlbench.report import compare

    bounded("--tolerance", tolerance, 0, 1e6)
    found = compare.compare(path(first, "A"), path(second, "B"), tolerance)
    print(as_json(of_comparison(found)) if json_ else found.text())
    return 1 if found.regressed else 0


def _folder(folder: str, inside: str) -> None:
    if not (Path(folder) / inside).is_dir():
        hint = "no such folder" if not Path(folder).exists() else f"it has no folder '{inside}'"
        raise ConfigError(f"'{folder}' holds no results: {hint} (a folder that `mtlbench run --out` wrote is expected)")
