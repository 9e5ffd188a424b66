"""A run's name covers every file that decides its numbers, by content; a plug-in may import what lies beside it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from mtlbench import plugins
from mtlbench.records import read_run
from mtlbench.runs import course, runner
from tests.runs.test_runner import Killed, kill_at, request

METHOD = """
from {how} import SCALE
from baselines.hard_sharing import HardSharing

class Mine(HardSharing):
    name = "mine"
    anchor = None
    scale = SCALE
"""
BACKBONE = """
from mtlbench.backbones.resnet import resnet18
from sizes import NOTHING
def small(a, n):
    return resnet18(a, n)
"""


def name(out: Path, spec: str = "hard-sharing", method: str = "hard-sharing", **settings: object) -> str:
    return runner.plan(request(out, method, spec=spec, **settings)).folder.name


@pytest.mark.parametrize("how", ["helper_of_mine", ".helper_of_mine", "parts_of_mine.helper_of_mine"])
def test_a_changed_file_beside_a_plug_in_is_another_run(tmp_path: Path, how: str) -> None:
    own, helper = tmp_path / "here" / "mine.py", tmp_path / "here" / f"{how.strip('.').replace('.', '/')}.py"
    helper.parent.mkdir(parents=True)
    own.write_text(METHOD.format(how=how))
    helper.write_text("SCALE = 1\n")
    spec = f"{own}:Mine"
    before = name(tmp_path, spec, "mine")
    assert plugins.load("methods", spec).scale == 1
    (own.parent / "unrelated.py").write_text("SCALE = 3\n")
    assert name(tmp_path, spec, "mine") == before
    shutil.copytree(own.parent, tmp_path / "there")
    assert name(tmp_path, f"{tmp_path / 'there' / 'mine.py'}:Mine", "mine") == before  # not the path
    helper.write_text("SCALE = 2\n")
    assert name(tmp_path, spec, "mine") != before
    assert plugins.load("methods", spec).scale == 2  # and it is what runs
    assert plugins.load("methods", f"{tmp_path / 'there' / 'mine.py'}:Mine").scale == 1


def test_a_changed_module_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "module_of_mine.py").write_text(METHOD.format(how="helper_of_module"))
    (tmp_path / "helper_of_module.py").write_text("SCALE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    seen = {name(tmp_path, "module_of_mine:Mine", "mine")}
    (tmp_path / "helper_of_module.py").write_text("SCALE = 2\n")
    seen.add(name(tmp_path, "module_of_mine:Mine", "mine"))
    (tmp_path / "module_of_mine.py").write_text(METHOD.format(how="helper_of_module") + "# changed\n")
    seen.add(name(tmp_path, "module_of_mine:Mine", "mine"))
    assert len(seen) == 3


def test_an_edited_backbone_is_another_run_and_one_that_moved_is_not(tmp_path: Path) -> None:
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "shape.py").write_text(BACKBONE)
        (tmp_path / folder / "sizes.py").write_text("NOTHING = 0\n")
    one, other = (f"{tmp_path / folder / 'shape.py'}:small" for folder in ("here", "there"))
    before = name(tmp_path, backbone=one)
    assert name(tmp_path, backbone=other) == before
    (tmp_path / "here" / "sizes.py").write_text("NOTHING = 1\n")
    assert name(tmp_path, backbone=one) != before


def test_a_run_that_goes_on_under_other_threads_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = request(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(course.Course, "_due", lambda self, now: True)
        kill_at(patch, 5)
        with pytest.raises(Killed):
            runner.execute(wanted)
    folder = runner.execute(replace(wanted, threads=2)).folder
    assert read_run(folder).notes == ["from step 5 on with 2 threads, not 1: numbers may differ in the last digits"]
