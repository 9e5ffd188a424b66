"""The command line as a whole: names, help, version."""

import re
import subprocess
import sys

import pytest
import typer

from mtlbench.cli.app import app
from tests.helpers.command import refused, run

WRONG = [
    (["rnu"], "unknown command 'rnu'; did you mean 'run'?"),
    (["data", "chekc"], "unknown command 'chekc'; did you mean 'check'?"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[-60:] for a, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("")
    assert message in refused(capsys, *arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"a-file"}  # nothing written, nothing lost


def test_no_argument_is_help_and_help_needs_no_torch(capsys):
    code, out, _ = run(capsys)
    assert code == 0
    for command in ("run", "report", "compare", "list", "check", "data", "cost", "export", "predict"):
        assert f"\u2502 {command} " in out


def test_version(capsys):
    import mtlbench

    assert run(capsys, "--version") == (0, f"mtlbench {mtlbench.__version__}\n", "")


def commands(command, path):
    """Every command below one, with the words that call it."""
    yield path, command
    for name, below in getattr(command, "commands", {}).items():
        yield from commands(below, [*path, name])


COMMANDS = {" ".join(path): c for path, c in commands(typer.main.get_command(app), ["mtlbench"])}


@pytest.mark.parametrize("width", [80, 140])
@pytest.mark.parametrize("path", COMMANDS)
def test_help_says_what_every_option_expects(capsys, monkeypatch, path, width):
    monkeypatch.setenv("COLUMNS", str(width))
    code, out, _ = run(capsys, *path.split()[1:], "--help")
    assert code == 0
    assert max(map(len, out.splitlines())) <= width
    for python in ("<str>", "<bool>", "<int>", "<float>", "TEXT", "INTEGER", "FLOAT", "KIND", "`"):
        assert python not in out
    for parameter in COMMANDS[path].params:
        assert parameter.help and parameter.help.endswith(".")
        if parameter.param_type_name == "argument":
            assert re.search(rf"^│ \*? +{re.escape(parameter.metavar)}  ", out, re.M)
            continue
        (row,) = re.findall(rf"^│ +{re.escape(parameter.opts[0])} (.*)", out, re.M)
        if not parameter.is_flag:
            assert row.strip().startswith(f"{parameter.metavar} ")


LIGHT = """
import sys
from mtlbench.cli.app import main
for arguments in ([], ["run", "--help"], ["list", "--help"], ["run", "--stepz"], ["report", "nowhere"]):
    main(arguments)
assert "torch" not in sys.modules, "torch was imported"
assert "pandas" not in sys.modules, "pandas was imported"
"""


def test_help_and_usage_errors_are_answered_without_torch():
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
