"""Every command runs in an empty folder, and takes one pass for a network's latency."""

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The empty folder."""
    monkeypatch.chdir(tmp_path)
    for name, least in (("BLOCK", 0.0), ("ROUNDS", 1), ("LEAST", 1)):
        monkeypatch.setattr(f"mtlbench.deployed.latency.{name}", least)
    return tmp_path
