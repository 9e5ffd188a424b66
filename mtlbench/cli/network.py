"""`mtlbench export` and `mtlbench predict`: what one does with a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mtlbench.errors import ConfigError, unknown


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
    from mtlbench.deployed import export
    from mtlbench.deployed import network as deployment

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
    from mtlbench import records
    from mtlbench.deployed import network as deployment
    from mtlbench.deployed import predict

    path = Path(out or f"{Path(image).stem}-predictions.png")
    name = dataset or records.read_run(folder).start.dataset
    predict.draw(deployment.load(folder, method), name, Path(image), path)
    print(f"wrote {path}")
    return 0
