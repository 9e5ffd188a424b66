"""Tables, figures and the page: pure functions of records; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtlbench.report.build import Report


def write(results: Path, out: Path | None = None) -> Report:
    """Write tables, figures and the page of a results folder under `out` (by default into the folder itself)."""
    from mtlbench.report import build

    return build.write(Path(results), Path(out) if out else None)


report = write
