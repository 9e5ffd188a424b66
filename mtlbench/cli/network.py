"""`mtlbench export` and `mtlbench predict`: what one does with a trained network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from mtlbench import records
from mtlbench.errors import ConfigError, unknown
from mtlbench.given import path, spec

Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin", metavar="FILE:CLASS", help="A class of your own that the run used, file.py:Class; many times."
    ),
]
"""A record is data: only what is registered, and what stands here, is imported."""


def _run_folder(given: str) -> Path:
    folder = Path(path(given, "RUN"))
    if not (folder / records.FILE).is_file():
        raise ConfigError(f"'{given}' is not a run (a folder under results/records with a {records.FILE} is expected)")
    return folder


def _to_write(given: str | None, otherwise: str) -> Path:
    """The file to write: in a folder that is there, and no folder itself."""
    file = Path(otherwise if given is None else path(given, "--out"))
    if not file.parent.is_dir():
        raise ConfigError(f"cannot write '{file}': there is no folder '{file.parent}'")
    if file.exists() and not file.is_file():
        what = "folder" if file.is_dir() else "device"
        raise ConfigError(f"cannot write '{file}': it is a {what} (a file's name is expected)")
    return file


@contextmanager
def _whole(file: Path) -> Iterator[Path]:
    """A file beside `file` to write, which becomes `file` once it is whole; ConfigError where that fails."""
    draft = file.with_name(f"{file.stem[:200]}.{os.getpid()}.part{file.suffix}")
    try:
        yield draft
        os.replace(draft, file)
    except OSError as error:
        raise ConfigError(f"cannot write '{file}': {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder under results/records.")],
    format_: Annotated[str, typer.Option("--format", metavar="FORMAT", help="torch or onnx.")] = "torch",
    plugin: Plugins = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="The file to write; named after the run by default.")
    ] = None,
) -> int:
    """The deployed network of a run as one file."""
    formats = {"torch": ".pt2", "onnx": ".onnx"}
    if format_ not in formats:
        raise unknown("format", format_, formats)
    folder = _run_folder(run)
    file = _to_write(out, f"{folder.resolve().name}{formats[format_]}")
    from mtlbench.deployed import export, network

    deployed = network.load_network(folder, [spec(p) for p in plugin or ()])
    with _whole(file) as draft:
        export.WRITERS[format_](deployed, draft)
    print(f"wrote {file} ({file.stat().st_size / 1e6:.1f} MB)")
    return 0


def predict(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's folder under results/records.")],
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="An image file.")],
    plugin: Plugins = None,
    out: Annotated[
        str | None, typer.Option(metavar="FILE", help="The PNG to write; named after the image by default.")
    ] = None,
) -> int:
    """A picture: the input and every task's prediction."""
    folder = _run_folder(run)
    picture = Path(path(image, "IMAGE"))
    if not picture.is_file():
        raise ConfigError(f"no image '{image}'")
    file = _to_write(out, f"{picture.stem}-predictions.png")
    from mtlbench.deployed import predict

    deployed, kind = predict.opened(folder, [spec(p) for p in plugin or ()])
    with _whole(file) as draft:
        said = predict.draw(deployed, kind, picture, draft)
    print(*said, f"wrote {file}", sep="\n")
    return 0
