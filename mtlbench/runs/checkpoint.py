"""Checkpoints: everything a run needs to go on to the same bits, written so that neither a kill nor a bad disk loses it.

The last two are kept. Each ends with the SHA-256 of what stands before it, so that not one changed bit is trained from.
"""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import torch

from mtlbench.errors import CheckpointError, one_line
from mtlbench.records.files import replacing

FILE = "checkpoint.pt"
PREVIOUS = "checkpoint.previous.pt"
SEAL = b"mtlbench:sha256:"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write a state of tensors and plain values beside the record; the one before is kept under another name."""
    with replacing(folder / FILE, keep=folder / PREVIOUS) as stream:
        torch.save(state, stream)  # type: ignore[arg-type]
        stream.write(SEAL + bytes.fromhex(stream.sha256))


def load(folder: Path, identity: str) -> tuple[dict[str, Any] | None, str]:
    """The newest state that is whole, None where there is none; and a sentence on what could not be used."""
    state, troubles = None, []
    for path in (folder / FILE, folder / PREVIOUS):
        try:
            state = read(path, identity) if state is None and path.exists() else state
        except CheckpointError as error:
            troubles.append(str(error))
    if troubles:
        troubles.append("the run goes on from the one before" if state else "the run starts from the beginning")
    return state, "; ".join(troubles)


def read(path: Path, identity: str) -> dict[str, Any]:
    """The state in a file; CheckpointError where it cannot be read, is damaged, or belongs to another run."""
    try:
        data = path.read_bytes()
        body, seal = data[: -len(SEAL) - 32], data[-len(SEAL) - 32 :]
        if seal != SEAL + hashlib.sha256(body).digest():
            raise CheckpointError(f"checkpoint '{path}' is damaged (its checksum does not fit)")
        state = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    except CheckpointError:
        raise
    except Exception as error:  # the file may be anything at all
        raise CheckpointError(f"cannot read checkpoint '{path}' ({one_line(error)[:200]})") from error
    if not isinstance(state, dict) or state.get("identity") != identity:
        raise CheckpointError(f"checkpoint '{path}' belongs to another run (expected '{identity}')")
    return state


def remove(folder: Path) -> None:
    """A finished run needs none."""
    for name in (FILE, PREVIOUS, FILE + ".tmp"):
        (folder / name).unlink(missing_ok=True)
