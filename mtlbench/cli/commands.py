"""How commands and their options stand in `--help`, and what a misspelled command is answered."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup

from mtlbench.errors import unknown


class Command(TyperCommand):
    """A command whose help says of every option what it expects, by its metavar, and of a flag that it expects nothing."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, --help with them."""
        return [_told(parameter) for parameter in super().get_params(ctx)]


class Commands(TyperGroup):
    """A group of commands that names the nearest one to a misspelled one."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, --help with them."""
        return [_told(parameter) for parameter in super().get_params(ctx)]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command `args` begin with; UnknownName where there is none."""
        if args[0] not in self.commands and not args[0].startswith("-"):
            raise unknown("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


def _told(parameter: Any) -> Any:
    """typer puts a Python type (`<bool>`, `<str>`) behind flags, which take no value, and arguments, which have a name."""
    if parameter.param_type_name == "argument" or parameter.is_flag:
        parameter.display_type_rich = _nothing
    return parameter


def _nothing(ctx: Any = None) -> str:
    return ""
