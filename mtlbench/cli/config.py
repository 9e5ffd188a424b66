"""`mtlbench config`: a study as a file, and the schema that editors complete such files by."""

from __future__ import annotations

from typing import Annotated

import typer

from mtlbench.errors import ConfigError
from mtlbench.study.settings import gather


def config(
    file: Annotated[
        str | None, typer.Argument(metavar="FILE", help="A study's file: check it, and print all that it means.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of such files, for editors.")] = False,
) -> int:
    """A study's configuration file resolved, with every default and preset written out; or the schema of such files."""
    if schema == (file is not None):
        raise ConfigError("config needs one of FILE and --schema (see mtlbench config --help)")
    settings = None if schema else gather({}, file)
    from mtlbench.cli.acts import config as act

    act.print_schema() if settings is None else act.print_file(settings)
    return 0
