"""A cache of the test's own, for tests that read data from disk."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """$MTLBENCH_CACHE in the test's folder."""
    home = tmp_path / "cache"
    monkeypatch.setenv("MTLBENCH_CACHE", str(home))
    return home
