"""What the report writes: whole files, nothing outside its folder, and figures that match the records after any kill."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mtlbench.errors import RecordError
from mtlbench.report import build, disk
from mtlbench.report.plots.figures import Figure


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure is its data's hash: a file that is of other data is seen."""
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 4"><!-- {} --></svg>'
    monkeypatch.setattr(Figure, "draw", lambda self: {"png": self.hash.encode(), "svg": svg.format(self.hash).encode()})


@pytest.fixture
def results(synthetic: ModuleType, tmp_path: Path) -> Path:
    """Two runs."""
    for method in ("single-task", "hard-sharing"):
        synthetic.run(tmp_path / "results", method, 0, per_image=False, curve=2)
    return tmp_path / "results"


def contents(root: Path) -> dict[str, bytes]:
    """Every file of the report."""
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file() and p.parent.name != "x"
            and "records" not in p.parts}  # fmt: skip


def change(results: Path) -> None:
    """Other figures in the records."""
    for path in results.glob("records/*/record.jsonl"):
        path.write_text(path.read_text().replace('"miou":30', '"miou":31').replace('"miou":29', '"miou":28'))


@pytest.mark.parametrize("name", ["index.html", "manifest.json"])
@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_behind_a_link_is_not_written(
    results: Path, tmp_path: Path, name: str, link: Callable[[Path, Path], None]
) -> None:
    other = tmp_path / "mine.html"
    other.write_text("mine")
    link(other, results / name)
    build.write(results)
    assert other.read_text() == "mine"
    assert not (results / name).is_symlink()
    assert len((results / name).read_text()) > 4


def test_tables_and_pictures_behind_links_are_not_written(results: Path, tmp_path: Path) -> None:
    """Every file of a report in turn is a link to somewhere else."""
    names = build.write(results).files
    for name in names:
        (tmp_path / "mine").write_text("mine")
        (results / name).unlink()
        (results / name).symlink_to(tmp_path / "mine")
    build.write(results)
    assert (tmp_path / "mine").read_text() == "mine"
    assert not any((results / name).is_symlink() for name in names)


@pytest.mark.parametrize("folder", ["tables", "figures", "runs"])
def test_a_folder_that_is_a_link_is_refused_and_left(results: Path, tmp_path: Path, folder: str) -> None:
    build.write(results)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(results / folder, elsewhere)
    (elsewhere / "stale.md").write_text("mine")
    before = contents(elsewhere)
    (results / folder).symlink_to(elsewhere)
    manifest = (results / "manifest.json").read_text()
    (results / "manifest.json").write_text(manifest.replace('"files": {', f'"files": {{"{folder}/stale.md": "",', 1))
    change(results)
    with pytest.raises(RecordError, match=f"{folder}' is a link, and the report writes nothing outside"):
        build.write(results)
    assert contents(elsewhere) == before


def test_a_manifest_cannot_remove_through_a_link(results: Path, tmp_path: Path) -> None:
    """The folder of a link holds nothing that this report writes: the stale names alone would go through it."""
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.png").write_text("mine")
    names = ["figures/a.png", "figures/../../x/a.png", "../x/a.png", "runs/x.txt"]
    found = disk.Disk(results)
    found.before = dict.fromkeys(names, "")
    (results / "figures").symlink_to(tmp_path / "x")
    found.finish()
    assert (tmp_path / "x" / "a.png").read_text() == "mine"


def test_a_report_killed_anywhere_is_mended_by_the_next(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed at every file it replaces, over changed records which then change back: the next report is a fresh one."""
    original = tmp_path / "original"
    shutil.copytree(results, original)
    build.write(results)
    expected = contents(results)
    replace = os.replace

    class Killed(BaseException):
        """Nothing catches it."""

    def until(count: int, after: bool) -> Callable[[Path, Path], None]:
        left = [count]

        def step(a: Path, b: Path) -> None:
            left[0] -= 1
            if left[0] or after:
                replace(a, b)
            if not left[0]:
                raise Killed

        return step

    for count in range(1, 60):
        root = tmp_path / f"killed-{count}"
        shutil.copytree(results, root)
        change(root)
        with monkeypatch.context() as patch:
            patch.setattr(disk.os, "replace", until(count, count % 2 == 0))
            try:
                build.write(root)
            except Killed:
                pass
            else:
                break
        shutil.rmtree(root / "records")
        shutil.copytree(original / "records", root / "records")
        build.write(root)
        assert contents(root) == expected, count
        shutil.rmtree(root)
    assert count > 10


def test_a_cut_picture_is_drawn_again(results: Path) -> None:
    build.write(results)
    expected = contents(results)
    path = next((results / "figures").glob("*.png"))
    path.write_bytes(path.read_bytes()[:3])
    build.write(results)
    assert contents(results) == expected


def test_what_a_killed_process_was_writing_is_removed(results: Path) -> None:
    (results / "tables").mkdir()
    left = [results / ".0123.999999999.part", results / "tables" / ".0123.999999999.part"]
    kept = [results / ".0123.1.part", results / "notes.part", results / ".mine.part"]
    for path in (*left, *kept):
        path.write_text("half")
    build.write(results)
    assert not any(path.exists() for path in left)
    assert all(path.exists() for path in kept)


def test_a_manifest_of_before_the_digests_is_understood(results: Path) -> None:
    build.write(results)
    expected = contents(results)
    (results / "tables" / "stale.md").write_text("old")
    (results / "manifest.json").write_text('{"files": ["tables/stale.md"], "figures": {}}')
    build.write(results)
    assert contents(results) == expected
