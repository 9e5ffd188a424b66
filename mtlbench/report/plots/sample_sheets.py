"""What both sheets of samples have in common: whose items are shown, and reading them."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from mtlbench.records import TaskInfo
from mtlbench.report.analysis.aggregate import Aggregate, Line
from mtlbench.report.reading.archive import BROKEN
from mtlbench.report.reading.samples import ARTEFACT, Items, digest, file_of, load

Shown = list[tuple[str, dict[str, Items]]]
"""Each row's label and its items by task; all rows show the same items."""


def data(result: Aggregate, views: Container[str]) -> dict[str, Any] | None:
    """The tasks with these views, and for each row the samples of its first seed that kept one."""
    tasks = [t.model_dump() for t in result.study.tasks if t.view in views]
    rows = [row for line in result.lines if (row := _row(line)) is not None]
    return {"tasks": tasks, "rows": rows} if tasks and rows else None


def _row(line: Line) -> dict[str, Any] | None:
    for seed, run in sorted(line.row.runs.items()):
        path = file_of(run)
        if path is not None and (found := digest(path)) is not None:
            row = {"label": line.label, "seed": seed, "file": str(path), "digest": found}
            return row if run.sums.get(ARTEFACT, found) == found else {**row, "damaged": True}
    return None


def read(content: Mapping[str, Any]) -> tuple[Shown, str]:
    """The rows that can be shown, and a note on those that cannot."""
    tasks = {t["name"]: TaskInfo.model_validate(t) for t in content["tasks"]}
    shown: Shown = []
    lost = []
    for row in content["rows"]:
        try:
            items = {} if row.get("damaged") else load(Path(row["file"]), tasks)
        except BROKEN:
            lost.append(row["label"])
            continue
        if items and (not shown or _alike(items, shown[0][1])):
            shown.append((row["label"], items))
        else:
            lost.append(row["label"])
    return shown, f"cannot be shown: {', '.join(lost)}" if lost else ""


def _alike(items: Mapping[str, Items], first: Mapping[str, Items]) -> bool:
    return items.keys() == first.keys() and all(
        i.truth.shape == first[t].truth.shape and i.inputs.shape == first[t].inputs.shape for t, i in items.items()
    )
