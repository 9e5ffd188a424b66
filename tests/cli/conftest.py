"""Every command runs in an empty folder, without the second that each latency measurement takes."""

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("mtlbench.deployed.cost.latency", lambda *_, **__: None)
    return tmp_path
