"""Runs that need what another method's run of the same seed found: carried out after it, with its artefacts.

A random policy with as many skipped blocks as AdaShare's of the same seed is one. The options are completed before the
run's configuration, and so its identity, is settled: a record says what was run and needs no other to be understood.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtlbench import plugins, records
from mtlbench.config import parse
from mtlbench.errors import ConfigError, MtlbenchError, RecordError
from mtlbench.runs.request import Outcome, Request

ALIKE = ("dataset", "data", "tasks", "seed", "backbone", "width", "pretrained", "batch_size", "steps", "budget")
"""What a run found in the results folder has in common with the one that follows it."""

Launch = Callable[[Sequence[Request]], Sequence[Outcome]]


def in_order(requests: Sequence[Request], launch: Launch) -> list[Outcome]:
    """The outcomes of all requests: first those that follow nobody, then, completed, the others.

    One that cannot be completed has the outcome "failed" and its reason; the others go on.
    """
    leaders = {number: name for number, r in enumerate(requests) if (name := follows(r)) is not None}
    first = [number for number in range(len(requests)) if number not in leaders]
    done = dict(zip(first, launch([requests[n] for n in first]), strict=True))
    folders = {(requests[n].config.method, *place(requests[n])): outcome.folder for n, outcome in done.items()}
    ready: dict[int, Request] = {}
    for number in leaders:
        try:
            ready[number] = completed(requests[number], folders)
        except MtlbenchError as error:
            done[number] = Outcome(Path(requests[number].out), "failed", str(error))
    done |= zip(ready, launch(list(ready.values())) if ready else (), strict=True)
    return [done[number] for number in range(len(requests))]


def follows(request: Request) -> str | None:
    """The method that a request waits for; a trial follows nobody, nor does a class that cannot be loaded."""
    if request.config.role == "tune":
        return None
    try:
        kind = plugins.load("methods", request.method)  # `entries` saw that it is one
        leader: str | None = kind.follows(parse(kind.Options, dict(request.config.options), f"method '{kind.name}'"))
        return leader
    except MtlbenchError:
        return None  # the run itself will say so


def place(request: Request) -> tuple[int, str]:
    """Where in the study a run stands: who follows another stands at the same seed and point."""
    return request.config.seed, request.point


def completed(request: Request, folders: Mapping[tuple[str, int, str], Path] | None = None) -> Request:
    """The request with the options it takes from the run it follows: the study's, else one in the results folder.

    Raises ConfigError, in one line, where there is no such run or more than one.
    """
    leader = follows(request)
    if leader is None:
        return request
    kind = plugins.load("methods", request.method)  # `entries` saw that it is one
    options = parse(kind.Options, dict(request.config.options), f"method '{kind.name}'")
    folder = (folders or {}).get((leader, *place(request))) or _found(request, leader)
    its_options, artefacts = findings(folder, leader)
    given, whole = (o.model_dump(mode="json") for o in (options, kind.completed(options, artefacts)))
    taken = [name for name in whole if whole[name] != given.get(name)]
    config = request.config.model_copy(update={"options": whole})
    return replace(request, config=config, follows=records.Followed(method=leader, options=its_options, taken=taken))


def findings(folder: Path, method: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of a finished run, and its JSON artefacts by name with its deployed network's "cost".

    Raises ConfigError where it is not finished or they cannot be read.
    """
    try:
        run = records.read_run(folder)
        kept = [a for a in run.artefacts if a.path.endswith(".json")]
        found = {a.name: json.loads(records.verify(folder, a).read_text(encoding="utf-8")) for a in kept}
    except (OSError, ValueError, RecordError) as error:
        raise ConfigError(f"the run of {method} to follow cannot be read: {error}") from error
    if run.cost is not None:
        found["cost"] = run.cost.model_dump(mode="json")
    if run.status != "finished":
        raise ConfigError(f"the run of {method} to follow is {run.status} ('{folder}')")
    return run.start.config.get("options") or {}, found


def _found(request: Request, leader: str) -> Path:
    """The finished run of `leader` in the results folder that has the same seed and settings."""
    found = list(_alike(request, leader))
    alike = [folder for folder, weights in found if weights == request.config.weights] or [f for f, _ in found]
    config = request.config
    if len(alike) != 1:
        many = f"{len(alike)} finished runs" if alike else "no finished run"
        raise ConfigError(
            f"{config.method} follows {leader} of seed {config.seed}, of which '{request.out}' has {many} with these "
            f"settings (name {leader} in --methods too)"
        )
    return alike[0]


def _alike(request: Request, leader: str) -> Iterator[tuple[Path, Any]]:
    """Finished runs that may be the one to follow, and their tasks' weights: those of a sweep, or tuned ones."""
    wanted = request.config.model_dump(mode="json")
    for folder in records.record_folders(Path(request.out)):
        if not folder.name.startswith(f"{leader}-{wanted['dataset']}-s{wanted['seed']}-"):
            continue
        try:
            run = records.read_run(folder)
        except MtlbenchError:
            continue  # the report names damaged records
        given = run.start.config
        if run.status == "finished" and run.start.role == "study" and all(given[k] == wanted[k] for k in ALIKE):
            yield folder, given.get("weights", {})
