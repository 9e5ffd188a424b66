"""`mtlbench run`: from flags to a study, its runs, and their report."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mtlbench.errors import FOREIGN, ConfigError, MtlbenchError, one_line

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mtlbench.runs.runner import Outcome, Preview, Request
    from mtlbench.study.conduct import Conducted
    from mtlbench.study.study import ResolvedStudy
    from mtlbench.study.tuning import Choice

Text = str | None  # numbers too: what is wrong with one is then said in one place, by the settings


def run(
    context: typer.Context,
    methods: Annotated[
        Text, typer.Option(metavar="A,B", help="all (the default), or names and file.py:Class, separated by commas.")
    ] = None,
    dataset: Annotated[
        Text, typer.Option(metavar="NAME", help="A data set's name, or file.py:Class; scenes by default.")
    ] = None,
    data_dir: Annotated[Text, typer.Option(metavar="DIR", help="Where the data set lies on disk.")] = None,
    tasks: Annotated[Text, typer.Option(metavar="A,B", help="Some of its tasks, separated by commas.")] = None,
    image_size: Annotated[Text, typer.Option(metavar="SIZE", help="Images' shorter side, or HEIGHTxWIDTH.")] = None,
    backbone: Annotated[Text, typer.Option(metavar="NAME", help="The network every method shares parts of.")] = None,
    width: Annotated[Text, typer.Option(metavar="W", help="Times the backbone's channels.")] = None,
    preset: Annotated[Text, typer.Option(metavar="PRESET", help="quick (the default), standard or paper.")] = None,
    seeds: Annotated[Text, typer.Option(metavar="S,S", help="Such as 0,1,2 or 0-4; 0 by default.")] = None,
    steps: Annotated[Text, typer.Option(metavar="N", help="Training steps of a run.")] = None,
    batch_size: Annotated[Text, typer.Option(metavar="N", help="Images a step.")] = None,
    budget: Annotated[
        Text,
        typer.Option(
            metavar="BUDGET", help="What --steps counts: total (all phases), final (the last), compute (FLOPs)."
        ),
    ] = None,
    sweep: Annotated[
        Text,
        typer.Option(
            metavar="WHAT", help="Run at several points: weights (of the tasks), or X.Y=V,V for what --set can set."
        ),
    ] = None,
    tune: Annotated[Text, typer.Option(metavar="N", help="Validation-only trials a method before the study.")] = None,
    tune_steps: Annotated[Text, typer.Option(metavar="N", help="Steps of a trial; the study's by default.")] = None,
    tune_seeds: Annotated[
        Text, typer.Option(metavar="N", help="Seeds of a trial, outside the study: 2 by default.")
    ] = None,
    weighting: Annotated[
        Text,
        typer.Option(
            metavar="NAME", help="How tasks are weighted: a name of mtlbench list weightings, or file.py:Class."
        ),
    ] = None,
    weights: Annotated[
        Text, typer.Option(metavar="A=1,B=.5", help="Fixed weights of tasks' losses, over the data set's.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="X.Y=V", help="method.option=value, dataset.option=value or run.key=value; many times."
        ),
    ] = None,
    selection: Annotated[
        Text, typer.Option(metavar="RULE", help="Which step is deployed: last, best-val or best-test-oracle.")
    ] = None,
    workers: Annotated[
        Text, typer.Option(metavar="N", help="Runs side by side; a core each by default on CPU.")
    ] = None,
    threads: Annotated[
        Text, typer.Option(metavar="N", help="Threads of each; the cores are shared out by default.")
    ] = None,
    parallel: Annotated[
        Text, typer.Option(metavar="FILE", help="A file that names a cluster (docs/scale.md): its jobs do the runs.")
    ] = None,
    device: Annotated[
        Text, typer.Option(metavar="DEVICE", help="auto, cpu, cuda, or cuda:1 for the second of several.")
    ] = None,
    precision: Annotated[Text, typer.Option(metavar="BITS", help="fp32 or bf16.")] = None,
    pretrained: Annotated[
        Text, typer.Option(metavar="[FILE]", help="Start from ImageNet's weights, or from those in FILE.")
    ] = None,
    out: Annotated[Text, typer.Option(metavar="DIR", help="The results folder; results by default.")] = None,
    config: Annotated[
        Text, typer.Option(metavar="FILE", help="A YAML file of the same settings; flags win over it.")
    ] = None,
    show_config: Annotated[
        bool, typer.Option("--print-config", help="Print the whole study as a file for --config, and run nothing.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and what is done already.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Run again what is finished.")] = False,
    latency: Annotated[
        bool, typer.Option("--latency/--no-latency", help="Time the networks side by side after the runs.")
    ] = True,
    report: Annotated[bool, typer.Option("--report/--no-report", help="Draw tables and figures at the end.")] = True,
) -> int:
    """Train methods under one protocol, and report.

    Finished runs are skipped and interrupted ones go on: the same command again continues a study.
    """
    flags = {
        k: v
        for k, v in locals().items()
        if k not in ("context", "config", "dry_run", "show_config", "latency", "report", "set_")
    }
    flags |= {"set": set_, "force": force or None}
    from mtlbench.study.settings import gather
    from mtlbench.study.study import resolve

    command = shlex.join(["mtlbench", *context.obj])
    study = resolve(gather(flags, config), command)
    if show_config:
        from mtlbench.cli.config import print_config

        print_config(study)
        return 0
    if dry_run:
        return show_plan(study)
    try:
        return carry_out(study, report, latency)
    except KeyboardInterrupt:
        away = study.parallel is not None and study.parallel.queues
        state = "its jobs go on without this process" if away else "stopped; what is done is kept"
        print(f"\n{state}. The same command goes on from there:\n  {command}", file=sys.stderr)
        return 130


def carry_out(study: ResolvedStudy, report: bool = True, latency: bool = True) -> int:
    """Tune where asked for, run everything, time the networks, report; 1 if some run failed."""
    from mtlbench.study.display import display
    from mtlbench.study.start import perform

    if study.settings.tune:
        print(f"tuning: {study.settings.tune} trials a method on {study.settings.tune_seeds} seeds, on validation only")
    return _summary(perform(study, display, _tuned, partial(finish, report=report, latency=latency)))


def finish(study: ResolvedStudy, done: Conducted, report: bool, latency: bool) -> None:
    """What follows the runs: time the networks and draw the report, as far as they are wanted."""
    if latency:
        _time(study, done.requests, done.outcomes)
    if report:
        from mtlbench.cli.report import write_report

        write_report(study.settings.out, study.settings.out)


def _tuned(chosen: Mapping[str, Choice]) -> None:
    from mtlbench.study.tuning import describe

    for name, choice in chosen.items():
        print(f"tuned {name}: {describe(choice)}")


def _time(study: ResolvedStudy, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> None:
    """Time the study's networks side by side, once all runs are over; where nothing is new, it was done before."""
    from mtlbench import records
    from mtlbench.cli.latency import side_by_side
    from mtlbench.deployed.network import FILE

    kept = {
        o.folder: r
        for r, o in zip(requests, outcomes, strict=True)
        if o.status == "finished" and (o.folder / FILE).is_file()
    }
    untimed = [folder for folder in kept if records.read_run(folder).latency is None]
    if untimed or any(o.status == "finished" and not o.skipped for o in outcomes):
        own = {spec for r in kept.values() for spec in (r.method, r.config.backbone) if ":" in spec}  # the user's words
        own |= {task.origin for task in study.dataset.tasks if task.origin}
        side_by_side(list(kept), sorted(own), study.device, study.settings.threads or 1)


def _plan(request: Request) -> Preview:
    """A request's plan; where a user's method breaks even that, an empty one."""
    from mtlbench.runs import runner
    from mtlbench.study.following import completed, follows

    waits = ""
    try:
        try:
            request = completed(request)
        except ConfigError:
            waits = f"waits for {follows(request)}"
        plan = runner.plan(request)
        return replace(plan, status=waits or plan.status)
    except ConfigError:
        raise
    except FOREIGN as error:  # the run itself will say so in its record
        return runner.Preview(Path(request.out), f"will fail: {one_line(error)}", (), request.config.steps)


def _summary(done: Conducted) -> int:
    """Say which runs failed and why, and which another process holds."""
    from mtlbench.study.display import label

    for r, o in done.failed:
        print(f"{o.status}: {label(r)}: {o.reason} ({o.folder})")
    for r, o in done.busy:
        print(f"busy: {label(r)}: {o.reason}; nothing was done for it here ({o.folder})")
    if done.failed:
        print(f"{len(done.failed)} of {len(done.requests)} runs did not finish")
    if done.busy:
        print(f"{len(done.busy)} of {len(done.requests)} runs are busy elsewhere: the same command again takes them in")
    return 1 if done.failed or done.busy else 0


def show_plan(study: ResolvedStudy) -> int:
    """Print every run: its phases, steps, state, and seconds as far as earlier runs tell."""
    from mtlbench.study import tuning
    from mtlbench.study.controls import Spent, controls, spent
    from mtlbench.study.display import table
    from mtlbench.study.study import runs

    chosen = tuning.chosen_so_far(study) if study.settings.tune else {}
    requests = (tuning.trials(study) if study.settings.tune else []) + runs(
        study, {n: c.values for n, c in chosen.items()}
    )
    plans = [_plan(r) for r in requests]
    extra = controls(study, requests, [spent(p.folder) or Spent(p.steps) for p in plans])
    requests, plans = [*requests, *extra], [*plans, *(_plan(r) for r in extra)]
    speeds = _speeds(study.settings.out)
    rows = [_row(r, p, speeds) for r, p in zip(requests, plans, strict=True)]
    print(table(("method", "seed", "role", "phases", "steps", "status", "seconds"), rows))
    ahead = sum(p.status not in ("finished", "diverged") or study.settings.force for p in plans)
    print(f"{len(plans)} runs, {ahead} to do")
    if study.base.get("budget") == "final":
        print("hard sharing runs once more with each method's training FLOPs, which follow from its record")
    if study.settings.tune and not chosen:
        print("the study's own learning rates follow from the trials, so its runs may differ from those shown")
    return 0


def _row(request: Request, plan: Preview, speeds: dict[tuple[str, str, str], float]) -> tuple[Any, ...]:
    config = request.config
    phases = " ".join(f"{p.name}:{p.steps}" for p in plan.phases)
    speed = speeds.get((config.method, config.dataset, request.device.split(":")[0]))
    seconds = "" if speed is None else f"{speed * plan.steps:.0f}"
    method = f"{config.method} at {request.point}" if request.point else config.method
    return method, config.seed, config.role, phases, plan.steps, plan.status, seconds


def _speeds(out: str) -> dict[tuple[str, str, str], float]:
    """Seconds a step of earlier finished runs: the newest of each method, data set and kind of device."""
    from mtlbench import records

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
