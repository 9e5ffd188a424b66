"""Runs as TensorBoard event files, from records alone: what they logged, by step. Needs the 'tensorboard' extra, no torch.

A run's file has one name and is written whole, so that writing it again replaces it and never appends.
"""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from mtlbench.errors import ConfigError, RecordError
from mtlbench.records import Eval, Run, read_each
from mtlbench.records.files import write_whole
from mtlbench.report.reading.settings import flatten
from mtlbench.report.text import as_float, clean

FILE = "events.out.tfevents.0.mtlbench"
Points = dict[int, dict[str, float]]  # step -> curve -> value


def need() -> None:
    """ConfigError where tensorboard is not installed."""
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "TensorBoard files need the 'tensorboard' extra (pip install 'mtlbench[tensorboard]')"
        ) from error


def write_events(results: Path, out: Path, sweep: bool = False) -> list[Path]:
    """Write an event file a run, each in a folder of the run's name under `out`; the files, in order.

    With `sweep` the files of runs that are no more are removed. ConfigError where tensorboard is not installed,
    RecordError where `out` takes no file.
    """
    need()
    files = [_written(run, out) for run in read_each(results) if isinstance(run, Run)]
    for stale in set(out.glob(f"*/{FILE}")) - set(files) if sweep else ():
        stale.unlink(missing_ok=True)
        with suppress(OSError):  # something else lies there too
            stale.parent.rmdir()
    return files


def _written(run: Run, out: Path) -> Path:
    folder = out / run.folder.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot write '{folder}': {error.strerror or error}") from error
    if folder.is_symlink():
        raise RecordError(
            f"'{folder}' is a link, and nothing is written outside '{out}' (remove it, or name another folder)"
        )
    write_whole(folder / FILE, events(run))
    return folder / FILE


def points(run: Run) -> Points:
    """A run's curves: training losses, learning rates, the method's quantities, validation, and what was deployed."""
    found: Points = defaultdict(dict)
    for log in run.logs:
        for group, values in (("loss", log.losses), ("learning rate", log.rates), ("method", log.values)):
            found[log.step] |= _finite(group, values)
    for line in run.evals:
        if line.split == "val" and line.purpose in ("curve", "phase"):
            found[line.step] |= _evaluated("validation", line)
    for split, group in (("val", "deployed validation"), ("test", "deployed test")):
        if (final := run.final(split)) is not None:
            found[final.step] |= _evaluated(group, final)
    return {step: values for step, values in sorted(found.items()) if values}


def _evaluated(group: str, line: Eval) -> dict[str, float]:
    """An evaluation's curves: every metric, the losses, the skill of each task and of all."""
    found = _finite(f"{group} loss", line.losses) | _finite(f"{group} skill", {**line.skill, "mean": line.score})
    for task, metrics in line.metrics.items():
        found |= _finite(group, {f"{task}/{name}": value for name, value in metrics.items()})
    return found


def _finite(group: str, values: Mapping[str, Any]) -> dict[str, float]:
    return {f"{group}/{clean(n)}": x for n, v in values.items() if (x := as_float(v)) is not None}


def settings(run: Run) -> dict[str, bool | float | str]:
    """A run's configuration as TensorBoard's hyperparameters: plain values by dotted name."""
    flat = dict(flatten({k: v for k, v in run.start.config.items() if v is not None}))
    return {clean(k): v if isinstance(v, bool | int | float) else clean(v) for k, v in flat.items() if v is not None}


def events(run: Run) -> bytes:
    """The event file of a run. No line of a record says when it was written: every event has the time of the start."""
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb
    from tensorboard.summary.writer.record_writer import RecordWriter

    time, file = _seconds(run.start.time), io.BytesIO()
    writer = RecordWriter(file)

    def put(**content: Any) -> None:
        writer.write(Event(wall_time=time, **content).SerializeToString())

    put(file_version="brain.Event:2")
    put(summary=hparams_pb(settings(run), trial_id=run.folder.name, start_time_secs=time))
    for step, values in points(run).items():
        put(step=step, summary=Summary(value=list(_scalars(Summary.Value, values))))
    return file.getvalue()


def _scalars(value: Any, values: Mapping[str, float]) -> Iterator[Any]:
    return (value(tag=tag, simple_value=x) for tag, x in values.items())


def _seconds(time: str) -> float:
    try:
        return datetime.fromisoformat(time).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
