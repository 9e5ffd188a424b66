"""How much another test set would change a figure: a bootstrap of test images in blocks, from their kept statistics.

Where neighbouring images of a split show one scene, blocks of consecutive images are drawn; else single images. All
methods and seeds of a study see the same draws, so differences between them are paired. See docs/statistics.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mtlbench.records import TaskInfo, digest
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, Aggregate, Key, Line, TestSet, primary
from mtlbench.report.analysis.statistics import ALPHA, Span
from mtlbench.report.reading.archive import BROKEN, arrays
from mtlbench.report.reading.reported_run import ReportedRun, inside
from mtlbench.report.text import as_float
from mtlbench.tasks.reductions import kept, parse, reduce

DRAWS = 1000
SEEDS = 5  # of a row, at most: what the images contribute does not shrink with seeds
LIMIT = 512 * 2**20  # bytes of statistics that are read of a run
ARTEFACT = "test-statistics"

Draws = NDArray[np.float64]  # (DRAWS,)


def block_starts(images: int, related: bool = True) -> NDArray[np.int64]:
    """Where blocks of consecutive images start: n^(1/3) images each, the rate for variances (Hall et al. 1995), or one."""
    return np.arange(0, images, max(1, round(images ** (1 / 3))) if related else 1)


@cache
def draws(images: int, stream: int = 0, related: bool = True) -> NDArray[np.float64]:
    """How often each block is drawn: (DRAWS, blocks), the same whenever it is asked for."""
    blocks = len(block_starts(images, related))
    generator = np.random.default_rng([20191112, images, stream])
    return generator.multinomial(blocks, np.full(blocks, 1 / blocks), size=DRAWS).astype(np.float64)


def load(path: Path) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Per-image statistics (N, k) by task and name; ValueError where the file is not that."""
    tasks: dict[str, dict[str, NDArray[np.float64]]] = {}
    with arrays(path, LIMIT) as found:
        for name in found.files:
            task, _, statistic = name.rpartition("/")
            rows = np.asarray(found[name], dtype=np.float64)
            if rows.ndim != 2 or not np.isfinite(rows).all():
                raise ValueError(f"'{name}' is not a finite (images, k) array")
            tasks.setdefault(task, {})[statistic] = rows
    return tasks


def resampled(task: TaskInfo, rows: Mapping[str, NDArray[np.float64]], stream: int = 0, related: bool = True) -> Draws:
    """The task's primary metric in every draw; `related` says whether neighbouring images resemble each other."""
    images = {len(r) for r in rows.values()}
    metric = primary(task)
    if len(images) != 1 or metric is None:
        raise ValueError(f"task '{task.name}' has arrays of different lengths")
    count = images.pop()
    weights, starts = draws(count, stream, related), block_starts(count, related)
    sums = {name: weights @ np.add.reduceat(r, starts, axis=0) for name, r in rows.items()}
    return np.asarray(reduce(parse(metric.reduction), sums), dtype=np.float64)


def resample(result: Aggregate) -> TestSet:
    """Resample every row that kept its statistics: the aggregate's `test`."""
    found = TestSet()
    lines = {line.label: _line(result, line, found) for line in result.lines}
    shared, single = result.line("shared"), result.line("independent")
    references = {kind: lines[line.label] for kind, line in (("shared", shared), ("single", single)) if line}
    metrics = {(t.name, m.name): m.higher for t in result.study.tasks if (m := primary(t))}
    for line in result.lines:
        own = lines[line.label]
        figures: dict[Key, Draws] = {key: _mean([d[key] for d in own.values() if key in d]) for key in metrics}
        figures[DELTA_PRIMARY] = _delta(result, own, references.get("single", {}), metrics)
        found.spans[line.label] = {k: _span(d, _figure(line, k, own)) for k, d in figures.items() if len(d)}
        if shared is not None and line is not shared and references["shared"]:
            found.gains[line.label] = _gains(line, shared, own, references["shared"], metrics)
    return found


BySeed = dict[int, dict[Key, Draws]]


def _line(result: Aggregate, line: Line, found: TestSet) -> BySeed:
    by_seed: BySeed = {}
    for seed in sorted(line.row.runs)[:SEEDS]:
        run = line.row.runs[seed]
        try:
            by_seed[seed] = _run(result, run, found)
        except BROKEN as error:
            found.problems.append(
                f"{line.label}, seed {seed}: the statistics of its test images cannot be used ({error})"
            )
    return {seed: figures for seed, figures in by_seed.items() if figures}


def _run(result: Aggregate, run: ReportedRun, found: TestSet) -> dict[Key, Draws]:
    name = run.artefacts.get(ARTEFACT)
    path = inside(run.folder, name) if name else None
    if path is None:
        return {}
    if ARTEFACT in run.sums and digest(path) != run.sums[ARTEFACT]:
        raise ValueError("the file is damaged: its checksum is not the record's")
    tasks = load(path)
    figures: dict[Key, Draws] = {}
    for index, task in enumerate(result.study.tasks):
        metric, rows = primary(task), tasks.get(task.name)
        if metric is None or not metric.reduction or not rows or not kept(parse(metric.reduction), rows):
            continue
        own_stream = index if len(result.study.streams) > 1 else 0
        related = run.neighbours is not False  # older records do not say: wider rather than too narrow
        figures[task.name, metric.name] = resampled(task, rows, own_stream, related)
        _agree(task, rows, as_float((run.final.get(task.name) or {}).get(metric.name)))
        found.images[task.name] = len(next(iter(rows.values())))
        found.blocks[task.name] = len(block_starts(found.images[task.name], related))
    return figures


def _agree(task: TaskInfo, rows: Mapping[str, NDArray[np.float64]], recorded: float | None) -> None:
    """ValueError where the images do not add up to the recorded figure: then one of the two is wrong."""
    metric = primary(task)
    if metric is None or recorded is None:
        return
    whole = float(reduce(parse(metric.reduction), {name: r.sum(0) for name, r in rows.items()}))
    if not math.isclose(whole, recorded, rel_tol=1e-4, abs_tol=1e-9):
        raise ValueError(f"{task.name}: its images give {whole:g}, the record says {recorded:g}")


def _mean(parts: list[Draws]) -> Draws:
    return np.mean(parts, axis=0) if parts else np.zeros(0)


def _delta(result: Aggregate, own: BySeed, single: BySeed, metrics: Mapping[Key, bool]) -> Draws:
    """Delta on the primary metrics in every draw, over the seeds both have."""
    keys = [key for key in metrics if key not in result.kept_out]
    seeds = [s for s in own.keys() & single.keys() if keys and all(k in own[s] and k in single[s] for k in keys)]
    with np.errstate(divide="ignore", invalid="ignore"):
        parts = [100 * (own[s][k] / single[s][k] - 1) * (1 if metrics[k] else -1) for s in sorted(seeds) for k in keys]
    return _mean(parts)


def _gains(line: Line, shared: Line, own: BySeed, other: BySeed, metrics: Mapping[Key, bool]) -> dict[Key, Span]:
    """What each task's primary metric gains over hard sharing, on the same images and seeds; positive is better."""
    gains = {}
    for key, higher in metrics.items():
        seeds = [s for s in sorted(own.keys() & other.keys()) if key in own[s] and key in other[s]]
        sign = 1 if higher else -1
        difference = _mean([sign * (own[s][key] - other[s][key]) for s in seeds])
        a, b = line.series(key), shared.series(key)
        figure = [sign * (a[s] - b[s]) for s in seeds if s in a and s in b]
        if len(difference):
            gains[key] = _span(difference, math.fsum(figure) / len(figure) if figure else math.nan)
    return gains


def _figure(line: Line, key: Key, own: BySeed) -> float:
    values = [v for s, v in line.series(key).items() if s in own]
    return math.fsum(values) / len(values) if values else math.nan


def _span(values: Draws, figure: float) -> Span:
    finite = values[np.isfinite(values)]
    if len(finite) < 0.9 * len(values) or not len(finite):
        return Span(figure, math.nan, math.nan, math.nan)
    low, high = np.quantile(finite, [ALPHA / 2, 1 - ALPHA / 2])
    return Span(figure, float(low), float(high), float(finite.std(ddof=1)))
