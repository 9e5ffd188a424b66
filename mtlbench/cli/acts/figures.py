"""The report's and a comparison's figures as JSON data, for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from mtlbench.records import finite
from mtlbench.report.analysis.aggregate import Aggregate, Line, Series, mean
from mtlbench.report.compare import Change, Comparison
from mtlbench.report.report import Report
from mtlbench.report.tables.header import title


def as_json(data: Any) -> str:
    """Data as JSON text; what is no number is null."""
    return json.dumps(finite(data), indent=2, default=str)


def of_report(report: Report) -> dict[str, Any]:
    """Every study's rows: each figure by seed, and its mean, deviation and interval."""
    return {
        "page": str(report.out / "index.html"),
        "studies": [_study(result) for result in report.aggregates],
        "warnings": report.warnings,
    }


def _study(result: Aggregate) -> dict[str, Any]:
    return {"study": title(result.study), "rows": [_row(line) for line in result.lines]}


def _row(line: Line) -> dict[str, Any]:
    row = line.row
    return {
        "label": line.label,
        "method": row.method,
        "role": row.role,
        "options": dict(row.options),
        "seeds": sorted(row.runs),
        "lost": dict(row.lost),
        "metrics": {f"{task}/{metric}": _series(values) for (task, metric), values in line.values.items()},
        "skill": _each(line.skill),
        "mean skill": _series(line.score),
        "delta": _each(line.delta),
        "delta of primary metrics": _each(line.delta_primary),
        "costs": {name: asdict(summary) for name, summary in line.costs.items()},
    }


def _each(found: Mapping[str, Series]) -> dict[str, Any]:
    return {name: _series(values) for name, values in found.items()}


def _series(values: Series) -> dict[str, Any]:
    return {"by seed": dict(values), **asdict(mean(values))}


def of_comparison(found: Comparison) -> dict[str, Any]:
    """Every figure in both folders, its gain with interval and p values, and whether it became worse."""
    return {
        "a": found.a,
        "b": found.b,
        "regressed": found.regressed,
        "changes": {study: [_change(c, found.tolerance) for c in changes] for study, changes in found.changes.items()},
        "lost": found.lost,
        "notes": found.notes,
    }


def _change(change: Change, tolerance: float) -> dict[str, Any]:
    return {**asdict(change), "worse": change.worse(tolerance)}
