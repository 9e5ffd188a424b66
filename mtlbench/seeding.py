"""Every random draw is a pure function of a key such as (seed, "train", step): resuming then needs no generator state."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch

Key = str | int


def derive(*key: Key) -> int:
    """A 63-bit seed from a key; the same on every machine and in every process."""
    digest = hashlib.sha256(repr(key).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*key: Key) -> torch.Generator:
    """A fresh CPU generator seeded by the key."""
    return torch.Generator().manual_seed(derive(*key))


@contextmanager
def seeded(*key: Key) -> Iterator[None]:
    """Run a block under torch's global generators seeded by the key, and leave the outer state as it was."""
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(derive(*key))
        yield
