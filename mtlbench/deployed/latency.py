"""Latency of deployed networks, side by side: in turns, alone on the machine, after the runs.

Milliseconds taken at different times are not alike: other work on the machine, its temperature and its clock move them
by more than methods differ. So all networks that are compared are timed in one session, a block of passes each in turn,
round after round: what disturbs one disturbs all. torch's own timer warms up, synchronises and sets the threads.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from timeit import default_timer
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from filelock import FileLock, Timeout
from torch.utils.benchmark import Timer

from mtlbench import machine, plugins, records
from mtlbench.deployed.cost import example
from mtlbench.deployed.network import FILE, DeployedNetwork, load_network
from mtlbench.errors import MtlbenchError, one_line
from mtlbench.records import Run, SideBySide

BLOCK = 0.02  # seconds of passes that make one sample
ROUNDS = 30
LEAST = 11  # rounds, however slow the networks
TOTAL = 60.0  # seconds that a session should not exceed by much
RESIDENT = 2 << 30  # bytes of weights held at once; networks beyond are loaded for each of their turns

K = TypeVar("K")
Loader = Callable[[], DeployedNetwork]


@dataclass(frozen=True)
class Row:
    """A run's latency in this session, or why it has none."""

    folder: Path
    line: SideBySide | None = None
    reason: str = ""


class Turns(Generic[K]):
    """The timers of several networks, held as long as their weights have room."""

    def __init__(self, loaders: Mapping[K, Loader], threads: int, device: str, clock: Callable[[], float]) -> None:
        self._loaders, self._threads, self._device, self._clock = loaders, threads, device, clock
        self._kept: dict[K, Timer] = {}
        self._held = 0

    def milliseconds(self, key: K, passes: int) -> float:
        """The mean time of a pass over one block of them."""
        return 1e3 * float(self._timer(key).timeit(passes).mean)

    def _timer(self, key: K) -> Timer:
        if key in self._kept:
            return self._kept[key]
        network = self._loaders[key]()
        network.network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        inputs = {s: example(network.shape, self._device) for s in network.streams}
        names = {"answers": network.answers, "inputs": inputs}
        timer = Timer("answers(inputs)", globals=names, num_threads=self._threads, timer=self._clock)
        size = sum(p.numel() * p.element_size() for p in network.network.parameters())
        if self._held + size <= RESIDENT:
            self._held += size
            self._kept[key] = timer
        return timer


def side_by_side(
    loaders: Mapping[K, Loader], threads: int = 1, device: str = "cpu", clock: Callable[[], float] = default_timer
) -> dict[K, list[float]]:
    """Milliseconds of one pass for all tasks and one input a stream: a sample a round of every network, in turns."""
    turns, keys = Turns(loaders, threads, device, clock), list(loaders)
    with torch.inference_mode():
        first = {key: turns.milliseconds(key, 1) / 1e3 for key in keys}
        passes = {key: max(1, round(BLOCK / max(first[key], 1e-6))) for key in keys}
        # torch's timer warms up with two passes before each block
        rounds = max(LEAST, min(ROUNDS, int(TOTAL / max(1e-9, sum((passes[k] + 2) * first[k] for k in keys)))))
        samples: dict[K, list[float]] = {key: [] for key in keys}
        for number in range(rounds):
            shift = number % len(keys)
            for key in keys[shift:] + keys[:shift]:  # nobody always follows the same network
                samples[key].append(turns.milliseconds(key, passes[key]))
    return samples


def described(samples: Sequence[float]) -> dict[str, Any]:
    """The median and the quartiles of samples, as the records' lines name them."""
    low, median, high = (float(q) for q in np.percentile(samples, [25, 50, 75]))
    return {"median_ms": median, "low_ms": low, "high_ms": high, "repeats": len(samples)}


def measure(folders: Sequence[Path], own: Sequence[str] = (), device: str = "cpu", threads: int = 1) -> list[Row]:
    """Time the deployed networks of these runs side by side, and append a `latency` line to each one's record.

    `own` names classes that are not registered (file.py:Class); PluginError where one cannot be loaded. A run that
    cannot be measured is a row with its reason.
    """
    plugins.Named(own)  # what the user got wrong is wrong for all
    runs, rows = {}, {}
    for folder in folders:
        try:
            runs[folder] = _ready(folder, own)
        except MtlbenchError as error:
            rows[folder] = Row(folder, reason=one_line(error))
    if runs:
        samples = side_by_side({f: lambda f=f: load_network(f, own) for f in runs}, threads, device)  # type: ignore[misc]
        session, processor = uuid.uuid4().hex[:12], processor_of(device)
        for folder, run in runs.items():
            line = SideBySide(session=session, processor=processor, threads=threads, **described(samples[folder]))
            rows[folder] = _written(folder, run, line)
    return [rows[folder] for folder in folders]


def _ready(folder: Path, own: Sequence[str]) -> Run:
    """The finished run of a folder whose network can be loaded; what cannot raises why."""
    run = records.read_run(folder)
    load_network(folder, own)
    return run


def _written(folder: Path, run: Run, line: SideBySide) -> Row:
    try:
        with FileLock(folder / "record.lock").acquire(timeout=0):
            records.Writer(folder, run.start.attempt).write(line)
    except Timeout:
        return Row(folder, reason="another process is at it")
    except MtlbenchError as error:
        return Row(folder, reason=one_line(error))
    return Row(folder, line)


def processor_of(device: str) -> str:
    """What computes: the processor's model, or the accelerator's name."""
    return machine.processor() if device == "cpu" else str(torch.cuda.get_device_name(device))


def measurable(results: Path) -> list[Path]:
    """The folders of a results folder's finished runs that keep a network; trials keep none."""
    return [r.folder for r in records.read_all(results)[0] if r.status == "finished" and (r.folder / FILE).is_file()]
