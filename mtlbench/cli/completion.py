"""`mtlbench completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from mtlbench.errors import unknown

VARIABLE = "_MTLBENCH_COMPLETE"
SHELLS = ("bash", "zsh", "fish", "powershell")


def completion(
    shell: Annotated[str, typer.Argument(metavar="SHELL", help=f"{', '.join(SHELLS[:-1])} or {SHELLS[-1]}.")] = "bash",
) -> int:
    """Print the completion script of a shell: eval "$(mtlbench completion bash)" in ~/.bashrc."""
    if shell not in SHELLS:
        raise unknown("shell", shell, SHELLS)
    print(get_completion_script(prog_name="mtlbench", complete_var=VARIABLE, shell=shell))
    return 0
