"""What the report's tests share: the made-up studies, written once."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from mtlbench.report import build
from mtlbench.report.plots.figures import Figure
from mtlbench.report.report import Report
from tests.helpers import synthetic as made_up


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The generator of records."""
    return made_up


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, synthetic: ModuleType) -> Path:
    """Two data sets, eight methods, three seeds, failures: read-only."""
    return synthetic.small(tmp_path_factory.mktemp("small"))


BLANK = {
    "png": b"not drawn",
    "narrow.svg": b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 4 9"/>',
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 4"><rect width="9" height="4" fill="#ccc"/></svg>',
}


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are not really drawn: drawing takes half a second each, and test_plots.py does."""
    monkeypatch.setattr(Figure, "draw", lambda self: BLANK)


@pytest.fixture(scope="session")
def written(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The small study's report, with tables, page and blank figures: read-only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "draw", lambda self: BLANK)
        return build.write(small, tmp_path_factory.mktemp("written"))
