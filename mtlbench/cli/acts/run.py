"""A study carried out and told: its tuning, its runs, its latencies, its report."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import partial

from mtlbench.cli.acts.config import print_config
from mtlbench.cli.acts.latency import announce, print_rows
from mtlbench.cli.acts.plan import print_plan
from mtlbench.cli.acts.report import write_report
from mtlbench.study.conduct import Conducted
from mtlbench.study.display import display
from mtlbench.study.settings import Settings
from mtlbench.study.start import perform
from mtlbench.study.study import ResolvedStudy, resolve
from mtlbench.study.timing import time_networks
from mtlbench.study.tuning import Choice, describe
from mtlbench.study.words import label


def look_ahead(settings: Settings, command: str, as_file: bool) -> int:
    """Print the study as a file that runs again, or else what it would run; runs nothing."""
    study = resolve(settings, command)
    print_config(study) if as_file else print_plan(study)
    return 0


def carry_out(settings: Settings, command: str, report: bool = True, latency: bool = True) -> int:
    """Tune where asked for, run everything, time the networks, report; 1 if some run failed, 130 if it was stopped."""
    study = resolve(settings, command)
    if settings.tune:
        print(f"tuning: {settings.tune} trials a method on {settings.tune_seeds} seeds, on validation only")
    try:
        return _summary(perform(study, display, _tuned, partial(finish, report=report, latency=latency)))
    except KeyboardInterrupt:
        away = study.parallel is not None and study.parallel.queues
        state = "its jobs go on without this process" if away else "stopped; what is done is kept"
        print(f"\n{state}. The same command goes on from there:\n  {command}", file=sys.stderr)
        return 130


def finish(study: ResolvedStudy, done: Conducted, report: bool, latency: bool) -> None:
    """What follows the runs: time the networks and draw the report, as far as they are wanted."""
    if latency:
        tell = partial(announce, device=study.device, threads=study.settings.threads or 1)
        if rows := time_networks(study, done, tell):
            print_rows(rows)
    if report:
        write_report(study.settings.out, study.settings.out)


def _tuned(chosen: Mapping[str, Choice]) -> None:
    for name, choice in chosen.items():
        print(f"tuned {name}: {describe(choice)}")


def _summary(done: Conducted) -> int:
    """Say which runs failed and why, and which another process holds."""
    for r, o in done.failed:
        print(f"{o.status}: {label(r)}: {o.reason} ({o.folder})")
    for r, o in done.busy:
        print(f"busy: {label(r)}: {o.reason}; nothing was done for it here ({o.folder})")
    if done.failed:
        print(f"{len(done.failed)} of {len(done.requests)} runs did not finish")
    if done.busy:
        print(f"{len(done.busy)} of {len(done.requests)} runs are busy elsewhere: the same command again takes them in")
    return 1 if done.failed or done.busy else 0
