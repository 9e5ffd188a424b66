"""Every command runs in an empty folder, and takes one pass for a network's latency."""

import resource
import signal

import pytest


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """The empty folder."""
    monkeypatch.chdir(tmp_path)
    for name, least in (("BLOCK", 0.0), ("ROUNDS", 1), ("LEAST", 1)):
        monkeypatch.setattr(f"mtlbench.deployed.latency.{name}", least)
    return tmp_path


@pytest.fixture
def small_disk():
    """From a call on no file may grow beyond so many bytes, as on a disk that fills: our own limit, nobody else's."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)
