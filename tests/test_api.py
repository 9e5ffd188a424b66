"""The public face: what it holds, that it is lazy, and that its page says what the docstrings say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mtlbench
from mtlbench.errors import UnknownName
from tests.helpers.api_page import PAGE, drawn, reference
from tests.helpers.command import DISCS

AUTHORS = """Method Options Budget Phase Turn Group Optimizer Artefact Knob Task Kind Metric Dataset DataOptions Batch Build
Architecture Backbone Block Weighting"""
NOTEBOOKS = "run_study load_network read_run read_report check_method check_dataset check_kind estimate_cost"


def test_the_members_of_the_face():
    assert mtlbench.__all__ == [*AUTHORS.split(), *NOTEBOOKS.split()]
    assert set(mtlbench.__all__) <= set(dir(mtlbench))
    for name in AUTHORS.split():
        assert isinstance(getattr(mtlbench, name), type), name
    for name in mtlbench.__all__:
        assert getattr(mtlbench, name).__name__ == name
        assert getattr(mtlbench, name).__doc__


def test_paths_that_plugins_import_are_the_same_objects():
    from mtlbench.backbones import Backbone, Block, Build
    from mtlbench.data.base import Dataset
    from mtlbench.method import Method
    from mtlbench.tasks import Kind, Task

    for one in (Backbone, Block, Build, Dataset, Method, Kind, Task):
        assert getattr(mtlbench, one.__name__) is one


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'mtlbench' has no attribute 'Methods'"):
        mtlbench.Methods  # noqa: B018
    with pytest.raises(ImportError):
        from mtlbench import Methods  # noqa: F401


def test_the_import_loads_nothing():
    """What takes time to import is not imported: in place of a stopwatch."""
    code = "import sys; before = set(sys.modules); import mtlbench; print(*sorted(set(sys.modules) - before))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert [m for m in found if m.startswith("mtlbench")] == ["mtlbench"]
    assert not {"torch", "numpy", "pydantic", "pandas"} & set(found)
    assert len(found) < 30


def test_reading_names_that_need_no_torch_loads_none():
    code = "import sys; from mtlbench import Task, Metric, read_run, read_report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_type_checkers_read_the_same_face():
    stub = ast.parse(Path(mtlbench.__file__).with_suffix(".pyi").read_text())
    found = {a.asname: n.module for n in stub.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert found == mtlbench._PLACES


def test_the_page_says_what_the_docstrings_say():
    assert drawn(PAGE.read_text()) == reference(), "run `python -m tests.helpers.api_page`"


def test_the_notebook_on_the_page_runs(tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(from mtlbench import Task.*?)```", PAGE.read_text(), re.DOTALL)[1]
    assert 'dataset="scenes", steps=20' in code
    code = code.replace(
        'dataset="scenes", steps=20', f"dataset={DISCS!r}, steps=2, set=['discs.images=24', 'run.head=4']"
    )
    code = code.replace('check_method("hard-sharing")', "[]")  # the battery has tests of its own
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "api.md", "exec"), {})
    out = capsys.readouterr().out
    assert "('single-task', 'finished'," in out and "('hard-sharing', 'finished'," in out
    assert "'disc': (1, 2, " in out


def test_checks_by_name_say_what_the_batteries_say(tmp_path):
    findings = mtlbench.check_dataset(DISCS, images=24)
    assert findings and all(f.ok for f in findings)
    assert all(f.ok for f in mtlbench.check_kind("depth"))
    with pytest.raises(UnknownName, match=r"unknown data set 'sceens'"):
        mtlbench.check_dataset("sceens")
    (first, *_) = mtlbench.check_method("nobody")
    assert not first.ok and "unknown method 'nobody'" in first.detail
