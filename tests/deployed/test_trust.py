"""A record is data: whatever it names, nothing is imported but what is registered or what the user names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mtlbench.cli.app import main
from mtlbench.config import RunConfig
from mtlbench.deployed.network import load_network
from mtlbench.records import FILE
from mtlbench.runs import runner
from tests.helpers.command import BRANCHES, DISCS, refused

EVIL = """
from pathlib import Path
Path(__file__).with_name("executed").touch()

class Evil:
    name = "evil"

def make(architecture, norm): ...
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a user's own method on a user's own data set."""
    config = RunConfig(
        method="branches", dataset="discs", tasks=("disc", "distance"), steps=1, batch_size=2, width=0.0625, head=4
    )
    config = config.model_copy(update={"data": {"val_fraction": 0.2, "images": 12, "noise": 0.1}})
    out = tmp_path_factory.mktemp("results")
    outcome = runner.execute(runner.Request(config, BRANCHES, DISCS, str(out)))
    assert outcome.status == "finished", outcome.reason
    return outcome.folder


@pytest.fixture
def shared(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run's folder as somebody else hands it on, with a file of theirs, and a picture."""
    folder = Path(shutil.copytree(finished, tmp_path / "shared"))
    (folder / "evil.py").write_text(EVIL)
    Image.new("RGB", (40, 40)).save(tmp_path / "photo.png")
    monkeypatch.chdir(folder)  # where `evil:Evil` would be found, too
    monkeypatch.syspath_prepend(str(folder))
    return folder


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change a record's start line."""
    start, *rest = (folder / FILE).read_text().splitlines(keepends=True)
    data = json.loads(start)
    change(data)
    for key in ("crc", "checksum", "sum"):
        data.pop(key, None)
    (folder / FILE).write_text(json.dumps(data) + "\n" + "".join(rest))


NAMES = ("evil.py:Evil", "./evil.py:Evil", "{folder}/evil.py:Evil", "evil:Evil", "evil.py:make", "evil")
PLACES: dict[str, Callable[[dict[str, Any], str], None]] = {
    "method": lambda start, name: start["config"].update(method=name),
    "method, both": lambda start, name: (start.update(method=name), start["config"].update(method=name)),
    "backbone": lambda start, name: start["config"].update(backbone=name),
    "data set": lambda start, name: (start.update(dataset=name), start["config"].update(dataset=name)),
    "kind": lambda start, name: start["tasks"][0].update(kind=name),
    "origin": lambda start, name: start["tasks"][0].update(kind="evil", origin=name),
    "weighting": lambda start, name: start["config"].update(weighting=name),
}


@pytest.mark.parametrize("command", ["export", "predict"])
@pytest.mark.parametrize("place", PLACES)
def test_a_file_beside_a_record_is_never_executed(capsys, shared, tmp_path, command, place):
    for name in NAMES:
        whole = name.format(folder=shared)
        rewrite(shared, lambda start, whole=whole: PLACES[place](start, whole))
        own = [] if place.startswith("method") else ["--plugin", BRANCHES]
        own += [] if place == "data set" else ["--plugin", DISCS]
        arguments = [shared, tmp_path / "photo.png"] if command == "predict" else [shared]
        code = main([command, *map(str, arguments), *own, "--out", str(tmp_path / "out.png")])
        out, err = capsys.readouterr()
        assert not (shared / "executed").exists(), (place, whole)
        if code:  # neither needs a weighting, and an export no data set
            assert (code, out, err.count("\n")) == (2, "", 1), err
        else:
            assert place == "weighting" or (place, command) == ("data set", "export")


def test_what_is_missing_is_named_and_the_users_own_word_is_enough(capsys, shared, tmp_path):
    line = refused(capsys, "export", shared)
    assert "the record names the method 'branches', which is not registered" in line
    assert "--plugin path/to/file.py:Class" in line
    assert main(["export", str(shared), "--plugin", BRANCHES, "--out", str(tmp_path / "n.pt2")]) == 0
    capsys.readouterr()
    assert "the data set 'discs'" in refused(capsys, "predict", shared, tmp_path / "photo.png", "--plugin", BRANCHES)
    own = ["--plugin", BRANCHES, "--plugin", DISCS, "--out", str(tmp_path / "p.png")]
    assert main(["predict", str(shared), str(tmp_path / "photo.png"), *own]) == 0
    assert (tmp_path / "p.png").is_file()
    assert not (shared / "executed").exists()


def test_a_class_that_is_not_a_method_is_one_line(capsys, shared, tmp_path):
    (tmp_path / "mine.py").write_text("class Mine:\n    name = 'branches'\n\ndef branches(): ...\n")
    for attribute in ("Mine", "branches"):
        line = refused(capsys, "export", shared, "--plugin", f"{tmp_path / 'mine.py'}:{attribute}")
        assert f"mine.py:{attribute}' is not a method (a subclass of mtlbench.method.Method" in line
    assert "allowed: path/to/file.py:Class" in refused(capsys, "export", shared, "--plugin", "mine.py")


def test_the_report_of_a_shared_folder_executes_nothing(shared, tmp_path):
    place = tmp_path / "results" / "records" / shared.name
    shutil.copytree(shared, place)
    for change in PLACES.values():
        rewrite(place, lambda start, change=change: change(start, f"{place}/evil.py:Evil"))
    main(["report", str(tmp_path / "results")])
    assert not (place / "executed").exists()


def test_classes_names_and_units_come_back_from_the_record(shared):
    disc, distance = load_network(shared, [BRANCHES]).tasks
    assert (disc.classes, distance.unit) == (("wall", "disc"), "m")


@pytest.mark.parametrize("thing", ["class X: ...", "X = 3"])
def test_what_can_be_no_plug_in_is_refused_in_one_line(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, thing: str
) -> None:
    monkeypatch.chdir(tmp_path)  # where a command that is not refused leaves its file
    file = tmp_path / "mine.py"
    file.write_text(f"{thing}\n")
    picture = tmp_path / "picture.png"
    Image.new("RGB", (32, 32)).save(picture)
    for command in (["export", str(finished)], ["predict", str(finished), str(picture)]):
        said = refused(capsys, *command, "--plugin", f"{file}:X")
        assert said == f"mtlbench: '{file}:X' is not a method, data set, backbone, kind or weighting\n"
    said = refused(capsys, "run", "--methods", "hard-sharing", "--backbone", f"{file}:X", "--dry-run")
    assert f"'{file}:X' is not a backbone" in said
