"""The stage after a study's runs: their networks timed side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mtlbench.deployed.latency import Row, measure
from mtlbench.deployed.network import FILE
from mtlbench.records import read_run
from mtlbench.study.conduct import Conducted
from mtlbench.study.study import ResolvedStudy


def time_networks(
    study: ResolvedStudy, done: Conducted, tell: Callable[[Sequence[Path]], None] = lambda folders: None
) -> list[Row]:
    """Time the study's networks and keep the figures in the records; where nothing is new, it was done before.

    `tell` is called with the runs' folders before: it takes a minute.
    """
    kept = {
        o.folder: r
        for r, o in zip(done.requests, done.outcomes, strict=True)
        if o.status == "finished" and (o.folder / FILE).is_file()
    }
    untimed = [folder for folder in kept if read_run(folder).latency is None]
    if not untimed and not any(o.status == "finished" and not o.skipped for o in done.outcomes):
        return []
    own = {spec for r in kept.values() for spec in (r.method, r.config.backbone) if ":" in spec}  # the user's words
    own |= {task.origin for task in study.dataset.tasks if task.origin}
    tell(list(kept))
    return measure(list(kept), sorted(own), study.device, study.settings.threads or 1)
