"""The command line called as a user calls it, on data that are drawn in milliseconds."""

from __future__ import annotations

from pathlib import Path

from mtlbench.cli.app import main

ROOT = Path(__file__).resolve().parents[2]
DISCS = f"{ROOT}/docs/examples/my_dataset.py:Discs"
BRANCHES = f"{ROOT}/docs/examples/my_method.py:Branches"
DATA = ["--dataset", DISCS]
ONE = ["--methods", "hard-sharing", *DATA]
TINY = ["--dataset", DISCS, "--set", "discs.images=24", "--set", "run.head=4", "--device", "cpu", "--steps", "2"]
TINY += ["--workers", "1", "--threads", "1", "--no-report"]


def run(capsys, *arguments):
    """A command line: exit code, output, errors."""
    code = main([*map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def refused(capsys, *arguments):
    """The one line with which a command is refused: exit code 2, nothing on standard output."""
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("mtlbench: ")
    assert err.count("\n") == 1
    return err
