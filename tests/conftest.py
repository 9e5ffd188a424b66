"""Shared by all tests: one thread, no terminal's width, and a torchvision that torchmetrics can import."""

import pytest
import torch

import mtlbench.backbones.vision  # noqa: F401

torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _no_terminals_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever starts the tests may have set one, by which tables are wrapped."""
    monkeypatch.delenv("COLUMNS", raising=False)
