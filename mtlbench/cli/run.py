"""`mtlbench run`: from flags to a study, its runs, and their report."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from mtlbench.study.settings import gather

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
    readers: Annotated[
        Text, typer.Option(metavar="N", help="Threads of a run that read its batches ahead: 0 by default.")
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
    settings, command = gather(flags, config), shlex.join(["mtlbench", *context.obj])
    from mtlbench.cli.acts import run as act

    if show_config or dry_run:
        return act.look_ahead(settings, command, show_config)
    return act.carry_out(settings, command, report, latency)
