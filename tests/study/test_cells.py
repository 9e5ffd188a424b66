"""The study's cells: the files that `make study` runs say what docs/study.md declares."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from mtlbench.study.settings import Settings, gather

ROOT = Path(__file__).resolve().parents[2]
CELLS = [*"KGAPLRDCFEBX", "PD", "PC"]
STEPS = {"A": 8000, "R": None, "K": None}
"""What the table leaves open: A's steps are past the knee, R has the quick preset's, K goes over them."""


def declared() -> dict[str, list[str]]:
    """The rows of the table of cells: name -> what stands in it."""
    rows = re.findall(r"^\| ([A-Z]{1,2}) \|(.+)\|$", (ROOT / "docs/study.md").read_text("utf-8"), re.MULTILINE)
    cells = {name: [part.strip() for part in rest.split("|")] for name, rest in rows}
    return {name: parts for name, parts in cells.items() if len(parts) == 4}


def files(cell: str) -> list[Path]:
    """A cell's files: one, or one a value of what it compares."""
    return sorted(p for p in (ROOT / "docs/study").glob("*.yaml") if _cell(p) == cell)


def _cell(path: Path) -> str:
    """C of C0 and C1."""
    return path.stem.rstrip("0123456789")


def read(path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DATA", "somewhere")
    return gather({}, str(path))


def test_every_cell_is_declared_and_run() -> None:
    names = {_cell(path) for path in (ROOT / "docs/study").glob("*.yaml")}
    assert names == set(declared()) == {*CELLS}
    makefile = re.search(r"^CELLS \?= (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert makefile is not None
    assert sorted(makefile[1].split()) == sorted(path.stem for path in (ROOT / "docs/study").glob("*.yaml"))


@pytest.mark.parametrize("cell", CELLS)
def test_cell_says_what_is_declared(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, steps, seeds = declared()[cell]
    number = int(steps.replace(",", "")) if steps[0].isdigit() else STEPS[cell]
    counts = [int(n) for n in re.findall(r"\d+", seeds)]
    for path in files(cell):
        settings = read(path, monkeypatch)
        assert settings.run.get("steps") == number
        assert len(settings.seeds) in counts
        assert settings.threads == 1  # of other threads the last digits are others


@pytest.mark.parametrize("cell", "ADC")
def test_confirmatory_cells_are_on_equal_terms(cell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in files(cell):
        settings = read(path, monkeypatch)
        assert (settings.tune, settings.tune_seeds) == (8, 2)
        assert settings.run["budget"] == "compute"
        assert {"single-task", "hard-sharing", "adashare", "random-policy"} <= set(settings.methods)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([(2, 0.01), (1, 0.04), (-3, 0.2)], "yes"),
        ([(2, 0.01), (1, 0.04), (-3, 0.02)], "not shown"),
        ([(-2, 0.01), (1, 0.06), (-3, 0.02)], "no"),
        ([(-2, 0.01), (1, 0.01), (-3, 0.02)], "not shown"),
        ([(-2, 0.01), (-3, 0.02)], "not shown: not all three have run"),
    ],
)
def test_the_answer_is_by_the_declared_rule(found: list[tuple[float, float]], said: str) -> None:
    """Two of the three on one side and none on the other; not shown otherwise, as where one has not run."""
    script = runpy.run_path(str(ROOT / "docs/study/confirmatory.py"))
    assert script["answer"]([script["verdict"](*one) for one in found]) == said
