"""`mtlbench completion`: the script, and what it asks the program."""

import os
import subprocess
import sys

import pytest

from tests.helpers.command import refused, run


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish", "powershell"])
def test_the_script_asks_this_program(capsys, shell):
    code, out, _ = run(capsys, "completion", shell)
    assert code == 0
    assert "mtlbench" in out
    assert "_MTLBENCH_COMPLETE" in out


def test_an_unknown_shell_is_refused(capsys):
    assert "unknown shell 'bsh'; did you mean 'bash'?" in refused(capsys, "completion", "bsh")


@pytest.mark.parametrize(
    ("words", "expected"),
    [("mtlbench ru", "run"), ("mtlbench run --prec", "--precision"), ("mtlbench data ch", "check")],
)
def test_bash_is_answered(words, expected):
    asked = {"COMP_WORDS": words, "COMP_CWORD": str(words.count(" ")), "_MTLBENCH_COMPLETE": "complete_bash"}
    command = [sys.executable, "-m", "mtlbench"]
    done = subprocess.run(command, env={**os.environ, **asked}, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.split(), done.stderr) == ([expected], "")
