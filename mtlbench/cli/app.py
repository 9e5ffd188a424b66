"""The command line: parse, call, print. Everything heavy is imported by the command that needs it.

How a command ends, and with which exit code, is `guard`'s affair.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import typer
from typer.completion import completion_init  # type: ignore[attr-defined]

import mtlbench
from mtlbench.cli import check, completion, config, cost, latency, listing, network, report, run, show, status
from mtlbench.cli.commands import Command, Commands
from mtlbench.cli.guard import complain, guarded
from mtlbench.errors import one_line, unknown
from mtlbench.given import whole

app = typer.Typer(cls=Commands, add_completion=False, pretty_exceptions_enable=False, no_args_is_help=False)
data = typer.Typer(cls=Commands, help="Look at data sets on disk.")
app.add_typer(data, name="data")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"mtlbench {mtlbench.__version__}")
        raise typer.Exit()


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Every way to share a network between tasks, under one protocol, measured on what would be deployed."""


COMMANDS: Mapping[str, Callable[..., object]] = {
    "run": run.run,
    "report": report.report,
    "compare": report.compare,
    "list": listing.list_,
    "show": show.show,
    "config": config.config,
    "completion": completion.completion,
    "status": status.status,
    "clean": status.clean,
    "check": check.check,
    "cost": cost.cost,
    "latency": latency.latency,
    "export": network.export,
    "predict": network.predict,
}
for _name, _function in COMMANDS.items():
    app.command(_name, cls=Command)(_function)
data.command("check", cls=Command)(check.data_check)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (the process's by default) and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    command = typer.main.get_command(app)
    if completion.VARIABLE in os.environ:  # the shell asks for completions; typer answers and ends the process
        completion_init()
        command.main(prog_name="mtlbench", complete_var=completion.VARIABLE)
    return guarded(lambda: _called(command, given))


def _called(command: Any, given: list[str]) -> object:
    """A command line carried out. Not by the command's own `main`, which ends the process on what it cannot write."""
    try:
        wanted = _optional_value([whole(a) for a in given])
        with command.make_context("mtlbench", wanted, obj=given) as context:
            return command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return complain(_usage(error))


ALONE = {"--pretrained": "imagenet", "--tensorboard": ""}  # what these options mean without a value


def _optional_value(arguments: Sequence[str]) -> list[str]:
    """The command line with the values that were left out; typer knows no option whose value may be."""
    following = [*arguments[1:], "--"]
    return [
        f"{a}={ALONE[a]}" if a in ALONE and after.startswith("-") else a
        for a, after in zip(arguments, following, strict=True)
    ]


def _usage(error: Any) -> str:
    """typer's complaint in our words where it is about a name."""
    name, context = getattr(error, "option_name", None), getattr(error, "ctx", None)
    if type(error).__name__ == "NoSuchOption" and context is not None:
        options = [o for p in context.command.params for o in p.opts if o.startswith("--")]
        return one_line(unknown(f"option of '{context.command_path}'", str(name), [*options, "--help"]))
    where = f"{context.command_path}: " if context is not None else ""
    return where + " ".join(error.format_message().split())
