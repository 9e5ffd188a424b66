"""What a study would run, and what of it is done already: told without training anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtlbench import records
from mtlbench.cli.tables import table
from mtlbench.errors import FOREIGN, ConfigError, MtlbenchError, one_line
from mtlbench.runs.previews import Previews
from mtlbench.runs.request import Preview, Request
from mtlbench.study import tuning
from mtlbench.study.controls import Spent, controls, spent
from mtlbench.study.following import completed, follows, place
from mtlbench.study.study import ResolvedStudy, runs


def print_plan(study: ResolvedStudy) -> None:
    """Print every run: its phases, steps, state, and seconds as far as earlier runs tell."""
    chosen = tuning.chosen_so_far(study) if study.settings.tune else {}
    requests = (tuning.trials(study) if study.settings.tune else []) + runs(
        study, {n: c.values for n, c in chosen.items()}
    )
    known = Previews()
    plans = _plans(requests, known)
    extra = controls(study, requests, [spent(p.folder) or Spent(p.steps) for p in plans])
    requests, plans = [*requests, *extra], [*plans, *(_plan(r, known) for r in extra)]
    speeds = _speeds(study.settings.out)
    rows = [_row(r, p, speeds) for r, p in zip(requests, plans, strict=True)]
    print(table(("method", "seed", "role", "phases", "steps", "status", "seconds"), rows))
    ahead = sum(p.status not in ("finished", "diverged") or study.settings.force for p in plans)
    print(f"{len(plans)} runs, {ahead} to do")
    if study.base.get("budget") == "final":
        print("hard sharing runs once more with each method's training FLOPs, which follow from its record")
    if study.settings.tune and not chosen:
        print("the study's own learning rates follow from the trials, so its runs may differ from those shown")


def _plans(requests: Sequence[Request], known: Previews) -> list[Preview]:
    """Of all requests; who follows another follows the study's own run, as when it runs."""
    first = {n: _plan(r, known) for n, r in enumerate(requests) if follows(r) is None}
    own = ((requests[n], plan) for n, plan in first.items() if requests[n].config.role != "tune")
    folders = {(r.config.method, *place(r)): plan.folder for r, plan in own}
    return [first.get(n) or _plan(r, known, folders) for n, r in enumerate(requests)]


def _plan(request: Request, known: Previews, folders: Mapping[tuple[str, int, str], Path] | None = None) -> Preview:
    """A request's plan; where a user's method breaks even that, an empty one."""
    waits = ""
    try:
        try:
            request = completed(request, folders)
        except ConfigError:
            waits = f"waits for {follows(request)}"
        plan = known.of(request)
        return replace(plan, status=waits or plan.status)
    except ConfigError:
        raise
    except FOREIGN as error:  # the run itself will say so in its record
        return Preview(Path(request.out), f"will fail: {one_line(error)}", (), request.config.steps)


def _row(request: Request, plan: Preview, speeds: dict[tuple[str, str, str], float]) -> tuple[Any, ...]:
    config = request.config
    phases = " ".join(f"{p.name}:{p.steps}" for p in plan.phases)
    speed = speeds.get((config.method, config.dataset, request.device.split(":")[0]))
    seconds = "" if speed is None else f"{speed * plan.steps:.0f}"
    method = f"{config.method} at {request.point}" if request.point else config.method
    return method, config.seed, config.role, phases, plan.steps, plan.status, seconds


def _speeds(out: str) -> dict[tuple[str, str, str], float]:
    """Seconds a step of earlier finished runs: the newest of each method, data set and kind of device."""
    speeds = {}
    for folder in records.record_folders(Path(out)):
        try:
            run = records.read_run(folder)
        except MtlbenchError:
            continue  # the report names damaged records
        if run.end is not None and run.status == "finished" and run.end.step:
            device = "cpu" if run.start.environment.get("device", "cpu") == "cpu" else "cuda"
            speeds[run.start.method, run.start.dataset, device] = run.end.seconds / run.end.step
    return speeds
