"""What a run was told, by dotted name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from mtlbench.report.reading.reported_run import ReportedRun

TUNED = frozenset({"lr", "weight_decay", "dropout", "weights"})  # chosen for each method where a tuning stage ran


def settings(run: ReportedRun) -> Iterator[tuple[str, Any]]:
    """What a method's rows and trials differ in, by dotted name: its options, and what is tuned."""
    yield from flatten(run.options)
    yield from flatten({k: v for k in sorted(TUNED) if (v := run.config.get(k)) or k != "weights"})


def flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested options as dotted names; lists stay whole."""
    for name, inner in value.items():
        if isinstance(inner, dict) and inner and prefix.count(".") < 8:
            yield from flatten(inner, f"{prefix}{name}.")
        else:
            yield prefix + str(name), inner
