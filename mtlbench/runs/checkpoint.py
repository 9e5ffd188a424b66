"""Checkpoints: everything a run needs to go on to the same bits, written so that a kill leaves the last one whole."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from mtlbench.errors import CheckpointError

FILE = "checkpoint.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values beside the record, atomically."""
    temporary = folder / (FILE + ".tmp")
    with open(temporary, "wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, folder / FILE)


def load(folder: Path, identity: str) -> dict[str, Any] | None:
    """The run's last state, None where it never wrote one; a file of another run or a damaged one is an error."""
    path = folder / FILE
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the file may be anything at all
        raise CheckpointError(f"cannot read checkpoint '{path}': {' '.join(str(error).split())[:200]}") from error
    if not isinstance(state, dict) or state.get("identity") != identity:
        raise CheckpointError(f"checkpoint '{path}' belongs to another run (expected '{identity}')")
    return state


def remove(folder: Path) -> None:
    """A finished run needs none."""
    for name in (FILE, FILE + ".tmp"):
        (folder / name).unlink(missing_ok=True)
