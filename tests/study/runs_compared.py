"""Everything that a finished run says and keeps, but for seconds, machines and commands: what must be equal to the bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mtlbench import records

ASIDE = {"time", "timing", "seconds", "processor_seconds", "command", "attempt", "environment", "latency", "sha256"}


def bits(out: Path) -> dict[str, Any]:
    """Of all runs of a results folder, by the name of their folder."""
    return {folder.name: of_run(folder) for folder in records.record_folders(out)}


def of_run(folder: Path) -> dict[str, Any]:
    """The record's lines that count, and the bytes of every file that was kept."""
    run = records.read_run(folder)
    assert run.end is not None
    lines = [run.start, *run.logs, *run.evals, run.cost, *run.artefacts, run.end]
    said = [_aside(line.model_dump()) for line in lines if line is not None]
    kept = {a.name: records.verify(folder, a).read_bytes() for a in run.artefacts}
    if "model" in kept:
        kept |= _network(kept.pop("model"))
    return {"status": run.status, "said": said, "kept": kept}


def _network(data: bytes) -> dict[str, Any]:
    """Its header's keys are in no order."""
    size = 8 + int.from_bytes(data[:8], "little")
    return {"header": json.dumps(json.loads(data[8:size]), sort_keys=True), "weights": data[size:]}


def _aside(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _aside(v) for k, v in value.items() if k not in ASIDE}
    return [_aside(v) for v in value] if isinstance(value, list) else value
