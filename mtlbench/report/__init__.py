"""Tables, figures and the page: pure functions of records; nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mtlbench.report.build import Report
    from mtlbench.report.comparison import Comparison
    from mtlbench.report.recommendation import Recommendation


def write(results: Path, out: Path | None = None) -> Report:
    """Write tables, figures and the page of a results folder under `out` (by default into the folder itself)."""
    from mtlbench.report import build

    return build.write(Path(results), Path(out) if out else None)


def compare(a: str | Path, b: str | Path, tolerance: float | None = None) -> Comparison:
    """What changed between two results folders (or FOLDER@COMMIT), with intervals; `.regressed` is the gate.

    `tolerance` is the percentage a primary metric may fall where one common seed allows no test.
    """
    from mtlbench.report import comparison

    return comparison.compare(a, b) if tolerance is None else comparison.compare(a, b, tolerance)


def recommend(
    report: Report, max_params: str | None = None, max_macs: str | None = None, max_latency: str | None = None
) -> Recommendation:
    """The best method of every study within limits such as "1.5x", "20G" and "50ms", with its evidence."""
    from mtlbench.report import recommendation

    return recommendation.recommend(report, max_params, max_macs, max_latency)


report = write
