"""Arrays as the files that a run keeps."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np

from mtlbench.deployed.evaluation import Evaluation


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as a compressed .npz file."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def compact(evaluation: Evaluation) -> dict[str, np.ndarray]:
    """Counts as integers: they compress to a fraction."""
    return {
        key: rows.astype(np.uint32) if np.array_equal(rows, np.floor(rows)) and rows.min(initial=0) >= 0 else rows
        for key, rows in evaluation.images.items()
    }
