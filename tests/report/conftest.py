"""What the report's tests share: the made-up studies, written once."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from mtlbench.report import build
from mtlbench.report.build import Report
from mtlbench.report.plots import Figure

HERE = Path(__file__).parent


def _synthetic() -> ModuleType:
    spec = importlib.util.spec_from_file_location("report_synthetic", HERE / "synthetic.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    """The generator of records."""
    return _synthetic()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory, synthetic: ModuleType) -> Path:
    """Two data sets, eight methods, three seeds, failures: read-only."""
    return synthetic.small(tmp_path_factory.mktemp("small"))


BLANK = {
    "png": b"not drawn",
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
