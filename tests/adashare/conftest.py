from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def plain() -> ModuleType:
    """The plain reference form, loaded by path (the throughput suite loads it too)."""
    spec = importlib.util.spec_from_file_location("adashare_plain", Path(__file__).with_name("plain.py"))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
