"""A GPU's memory: the most that a run held, and, where it was not enough, how much was needed and which batch would fit."""

from __future__ import annotations

import re

import torch
from torch import nn

from mtlbench.errors import one_line

UNITS = {"bytes": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
COPIES = 4  # of every parameter: itself, its gradient, an optimiser's two moments
KEPT = 0.9  # of the memory: what is left between tensors goes unused


def start_watching(device: str) -> None:
    """From here on `most` counts; the CPU is not watched."""
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)


def most(device: str) -> int | None:
    """The most bytes that tensors held at once on a GPU since `start_watching`; None on the CPU."""
    return int(torch.cuda.max_memory_allocated(device)) if device.startswith("cuda") else None


def reason(error: BaseException, batch_size: int, method: nn.Module | None) -> str:
    """Why a run failed, in one line."""
    if not isinstance(error, torch.OutOfMemoryError):
        return one_line(error)
    fixed = COPIES * sum(p.numel() * p.element_size() for p in method.parameters()) if method is not None else 0
    return out_of_memory(str(error), batch_size, fixed) or one_line(error)


def out_of_memory(said: str, batch_size: int, fixed: int) -> str:
    """The same of torch's message; "" where it does not say enough. `fixed` bytes do not depend on the batch.

    What was needed is what was in use and what could not be had: the step was not over, so it is a lower bound, and the
    batch that fits, in proportion to it, an upper one.
    """
    tried, capacity, used = (_bytes(what, said) for what in ("allocate ", "capacity of ", "allocated memory "))
    if not (tried and capacity and used):
        return ""
    needed = used + tried
    images = max(needed - fixed, 1) / batch_size
    fits = min(int((KEPT * capacity - fixed) / images), batch_size - 1)
    told = f"out of GPU memory: batches of {batch_size} need more than {_gib(needed)}, and {_gib(capacity)} are there"
    if fits < 2:
        return (
            f"{told}; the network alone takes {_gib(fixed)} in training (a smaller --width or --image-size is needed)"
        )
    return f"{told}; at most about {fits} images fit (--batch-size {fits})"


def _bytes(what: str, said: str) -> int:
    found = re.search(rf"{what}([0-9.]+) (bytes|KiB|MiB|GiB)", said)
    return int(float(found[1]) * UNITS[found[2]]) if found else 0


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f} GiB"
