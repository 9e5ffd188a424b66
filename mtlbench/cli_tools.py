"""The other commands: report, compare, list, check, data check, export, predict."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtlbench.errors import ConfigError, one_line, unknown

if TYPE_CHECKING:
    from mtlbench.checks import Finding
    from mtlbench.report.build import Report

PLAIN_WIDTH = 200  # characters of a table that no terminal limits
WHAT = ("methods", "datasets", "backbones", "presets")


def report(
    results: Annotated[str, typer.Argument(help="A results folder.")] = "results",
    out: Annotated[str | None, typer.Option(help="Where tables and figures go; beside the records by default.")] = None,
    max_params: Annotated[str | None, typer.Option(help="Recommend within such as 1.5x or 20M.")] = None,
    max_macs: Annotated[str | None, typer.Option(help="Recommend within such as 2x or 20G.")] = None,
    max_latency: Annotated[str | None, typer.Option(help="Recommend within such as 50ms.")] = None,
) -> int:
    """Tables, figures and a page from records alone; with limits, also the best method within them."""
    _folder(results, "records")
    written = write_report(results, out or results)
    if max_params or max_macs or max_latency:
        from mtlbench.report import recommend

        print("\n" + recommend(written, max_params, max_macs, max_latency).text())
    return 0


def write_report(results: str, out: str) -> Report:
    """Write the report of a results folder and print its table."""
    from rich.console import Console

    from mtlbench import report

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    written = report.write(Path(results), Path(out))
    console.print(*written.terminal(), sep="\n")
    print(f"the whole report: {Path(out) / 'index.html'}")
    return written


def compare(
    first: Annotated[str, typer.Argument(metavar="A", help="A results folder, or FOLDER@COMMIT.")],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    tolerance: Annotated[
        float | None, typer.Option(help="Percent a metric may fall where one seed tests none.")
    ] = None,
) -> int:
    """What changed between two results folders, with intervals; exit code 1 where something became worse."""
    from mtlbench import report

    found = report.compare(first, second, tolerance)
    print(found.text())
    return 1 if found.regressed else 0


def _folder(path: str, inside: str) -> None:
    if not (Path(path) / inside).is_dir():
        hint = "no such folder" if not Path(path).exists() else f"it has no folder '{inside}'"
        raise ConfigError(f"'{path}' holds no results: {hint} (a folder that `mtlbench run --out` wrote is expected)")


def list_(
    what: Annotated[str | None, typer.Argument(help="methods, datasets, backbones or presets; all by default.")] = None,
) -> int:
    """What is registered, one line each."""
    if what is not None and what not in WHAT:
        raise unknown("thing to list", what, WHAT)
    for number, kind in enumerate([what] if what else WHAT):
        print(("\n" if number else "") + (kind.capitalize() if what is None else ""), end="\n" if what is None else "")
        print(_presets() if kind == "presets" else _registered(kind))
    return 0


def _registered(kind: Any) -> str:
    from mtlbench import plugins
    from mtlbench.display import table

    return table(("name", "what it is"), [(n, _described(kind, n)) for n in plugins.names(kind)])


def _described(kind: Any, name: str) -> str:
    import inspect

    from mtlbench import plugins
    from mtlbench.errors import PluginError

    try:
        text = inspect.getdoc(plugins.load(kind, name)) or ""
    except PluginError as error:
        return f"({one_line(error)})"
    return " ".join(text.split("\n\n")[0].split())


def _presets() -> str:
    from mtlbench import plugins
    from mtlbench.display import table
    from mtlbench.errors import PluginError

    rows = []
    for name in plugins.names("datasets"):
        try:
            presets = plugins.load("datasets", name).presets
        except PluginError as error:
            presets = {"": {"": one_line(error)}}
        for preset, settings in presets.items():
            rows.append((name, preset, ", ".join(f"{k} {v}" for k, v in settings.items())))
    return table(("data set", "preset", "settings"), rows)


def check(
    method: Annotated[
        str | None, typer.Argument(help="A method's name, file.py:Class or package.module:Class.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Check a data set instead: its name, or file.py:Class.")] = None,
    data_dir: Annotated[str | None, typer.Option(help="Where the data set lies on disk.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="name.option=value; many times.")] = None,
) -> int:
    """The contract battery: does a method, or a data set, keep every promise the harness relies on?"""
    if (method is None) == (dataset is None):
        raise ConfigError("check needs one of METHOD and --dataset (see mtlbench check --help)")
    findings = _method_findings(method, set_) if method else _dataset_findings(str(dataset), data_dir, set_)
    from mtlbench.display import table

    print(table(("check", "", "detail"), [(f.name, "ok" if f.ok else "FAILED", f.detail) for f in findings]))
    failed = sum(not f.ok for f in findings)
    print(f"{len(findings) - failed} of {len(findings)} checks passed")
    return 1 if failed else 0


def _method_findings(method: str, given: list[str] | None) -> Sequence[Finding]:
    from mtlbench.settings import gather
    from mtlbench.study import entries

    settings = gather({"methods": (method,), "set": given})
    (entry,) = entries(settings)
    from mtlbench import checks

    return checks.battery(method, settings.set.get(entry.name, {}))


def _dataset_findings(dataset: str, data_dir: str | None, given: list[str] | None) -> Sequence[Finding]:
    from mtlbench.settings import gather
    from mtlbench.study import open_for

    opened = open_for(gather({"dataset": dataset, "data_dir": data_dir, "set": given}))
    from mtlbench import checks

    return checks.dataset_battery(opened)


def data_check(folder: Annotated[str, typer.Argument(metavar="DIR", help="A data set's folder.")]) -> int:
    """What lies in a folder: layout, counts, ranges, problems."""
    if not Path(folder).is_dir():
        raise ConfigError(f"no folder '{folder}' (a data set's folder is expected)")
    from mtlbench.data import inspect

    found = inspect.check(Path(folder))
    for line in found.lines():
        print(line)
    return 1 if found.problems else 0


def _run_folder(path: str) -> Path:
    from mtlbench import records

    if not (Path(path) / records.FILE).is_file():
        raise ConfigError(f"'{path}' is no run (a folder under results/records with a {records.FILE} is expected)")
    return Path(path)


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder under results/records.")],
    format_: Annotated[str, typer.Option("--format", help="torch or onnx.")] = "torch",
    method: Annotated[str | None, typer.Option(help="The class of a method of your own, file.py:Class.")] = None,
    out: Annotated[str | None, typer.Option(help="The file to write; named after the run by default.")] = None,
) -> int:
    """The deployed network of a run as one file."""
    formats = {"torch": ".pt2", "onnx": ".onnx"}
    if format_ not in formats:
        raise unknown("format", format_, formats)
    folder = _run_folder(run)
    from mtlbench import deployment, export

    deployed = deployment.load(folder, method)
    path = Path(out or f"{folder.resolve().name}{formats[format_]}")
    write = export.export_onnx if format_ == "onnx" else export.export_torch
    write(deployed, path)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder under results/records.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image file.")],
    method: Annotated[str | None, typer.Option(help="The class of a method of your own, file.py:Class.")] = None,
    dataset: Annotated[str | None, typer.Option(help="The class of a data set of your own, file.py:Class.")] = None,
    out: Annotated[str | None, typer.Option(help="The PNG to write; named after the image by default.")] = None,
) -> int:
    """A picture: the input and every task's prediction."""
    folder = _run_folder(run)
    if not Path(image).is_file():
        raise ConfigError(f"no image '{image}'")
    from mtlbench import deployment, predict, records

    path = Path(out or f"{Path(image).stem}-predictions.png")
    name = dataset or records.read_run(folder).start.dataset
    predict.draw(deployment.load(folder, method), name, Path(image), path)
    print(f"wrote {path}")
    return 0
