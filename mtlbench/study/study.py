"""A study: methods x seeds on one data set, resolved into runs.

What a flag says wins over the `--config` file, which wins over the data set's preset, which wins over the defaults of
`RunConfig`. Everything resolved here is part of each run's configuration, and so of its identity.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build
from mtlbench.backbones.build import pretrained_weights
from mtlbench.config import RunConfig, parse
from mtlbench.data.base import Dataset
from mtlbench.errors import FOREIGN, ConfigError, MtlbenchError, PluginError, one_line, unknown
from mtlbench.runs.assembly import dataset_class, open_dataset
from mtlbench.runs.request import Request
from mtlbench.study.entries import Entry, check_backbone, entries
from mtlbench.study.parallel import Parallel, read_parallel
from mtlbench.study.settings import RUN_KEYS, Settings
from mtlbench.study.sweep import variants
from mtlbench.training import ranks
from mtlbench.training.weighting import Weighting, make_weighting, weighting_class

STEPS: Mapping[str, int] = {"quick": 300, "standard": 3000, "paper": 20000}
"""Steps under each preset where a data set names none of its own."""
MOST_RUNS = 10_000
"""Of a study: so many a report shows."""


@dataclass(frozen=True)
class ResolvedStudy:
    """Settings with their methods loaded and their data set opened; `base` is what all runs' configurations share."""

    settings: Settings
    entries: tuple[Entry, ...]
    base: Mapping[str, Any]
    dataset: Dataset
    device: str
    weights: str | None
    command: str
    weighting: str | None = None  # file.py:Class of the user's own
    point: str = ""  # of a sweep: what tells it from the others
    parallel: Parallel | None = None  # None: this machine
    points: tuple[ResolvedStudy, ...] = ()  # of a sweep: the studies to run instead of this one


def resolve(settings: Settings, command: str = "") -> ResolvedStudy:
    """Load the methods, open the data set and settle what all runs share; every wrong name is found here."""
    study = _resolve(settings, command)
    if settings.sweep is None:
        return study
    own = {
        t: float({**study.dataset.weights, **study.base.get("weights", {})}.get(t, 1.0)) for t in study.base["tasks"]
    }
    owners = {study.base["dataset"], *(e.name for e in study.entries)}
    at_points = variants(settings, own, owners)
    _few_enough(settings, study.entries, len(at_points))
    points = [(point, _resolve(at, command)) for point, at in at_points]
    return replace(study, points=tuple(replace(at, point=point) for point, at in points))


def _resolve(settings: Settings, command: str) -> ResolvedStudy:
    """A study without its sweep."""
    kind = dataset_class(settings.dataset)
    chosen = entries(settings, kind.name)
    _few_enough(settings, chosen)
    if unwanted := set(settings.run) - set(RUN_KEYS):
        raise unknown("option of run", min(unwanted), RUN_KEYS)
    preset = _preset(kind, settings.preset)
    given = {**preset.get("data", {}), **_given(kind, settings)}
    data = parse(kind.Options, given, f"data set {kind.name}").model_dump(mode="json")
    parallel = None if settings.parallel is None else read_parallel(settings.parallel)
    device = available(settings.device) if parallel is None else elsewhere(settings, parallel)
    pretrained, weights = _pretrained(settings.pretrained)
    _before_data(settings, kind, chosen, preset, weights)
    dataset = _open(settings, data)
    preset = dataset.preset(settings.preset)
    base = {
        "steps": STEPS[settings.preset],
        **{k: v for k, v in preset.items() if k != "data"},
        **settings.run,
        "dataset": kind.name,
        "data": data,
        "tasks": tuple(t.name for t in dataset.tasks),
        "preset": settings.preset,
        "pretrained": pretrained,
    }
    weighting = str(base.get("weighting", "fixed"))
    base |= {"weighting": weighting_class(weighting).name} if "weighting" in base else {}
    base |= _weights(base, preset.get("weights", {}), settings.run.get("weights", {}))
    shared: RunConfig = parse(RunConfig, {**base, "method": "any"}, "the study")
    _check_weights(shared, weighting)
    make_weighting(weighting, dataset.tasks, {})  # what it needs is here
    if shared.backbone not in plugins.names("backbones") and plugins.registered("backbones", shared.backbone):
        _make_backbone(shared, dataset)
    own = weighting if ":" in weighting else None
    study = ResolvedStudy(settings, chosen, base, dataset, device, weights, command, own, parallel=parallel)
    runs(study)  # every method's options are right, too
    return study


def _few_enough(settings: Settings, chosen: Sequence[Entry], points: int = 1) -> None:
    """ConfigError for a study of more runs than a report can show."""
    counts = {"methods": len(chosen), "points": points, "seeds": len(settings.seeds)}
    trials = len(chosen) * settings.tune * settings.tune_seeds
    if (total := math.prod(counts.values()) + trials) > MOST_RUNS:
        said = " x ".join(f"{n:,} {what}" for what, n in counts.items() if n > 1 or what == "methods")
        more = f" and {trials:,} trials" if trials else ""
        raise ConfigError(f"{said}{more} are {total:,} runs (allowed: up to {MOST_RUNS:,} in a study)")


def _before_data(
    settings: Settings, kind: type[Dataset], chosen: Sequence[Entry], preset: Mapping[str, Any], weights: str | None
) -> None:
    """Find what is wrong with the options before a data set is read or rendered, which may take minutes."""
    tasks = settings.tasks or ("any",)
    values = {"steps": STEPS[settings.preset], **preset, **settings.run, "method": "any", "tasks": tasks}
    values.pop("data", None)
    shared: RunConfig = parse(RunConfig, values, "the study")
    check_backbone(shared.backbone)
    weighting_class(shared.weighting)
    if weights is not None:
        pretrained_weights(shared.backbone, weights)
    for e in chosen:
        if e.cls is not None and e.name in settings.set:
            defaults = e.cls.defaults(settings.preset, kind.name, settings.tasks or ())
            parse(e.cls.Options, {**defaults, **settings.set[e.name]}, f"method {e.name}")


def _weights(base: Mapping[str, Any], preset: Mapping[str, float], given: Mapping[str, Any]) -> dict[str, Any]:
    """The weights of tasks: a preset's of those that are trained, where losses have fixed ones, and over them the user's."""
    fixed = base.get("weighting", "fixed") == "fixed"
    found = {**({t: preset[t] for t in base["tasks"] if t in preset} if fixed else {}), **given}
    return {"weights": found} if found or "weights" in base else {}


def _make_backbone(config: RunConfig, dataset: Dataset) -> None:
    """Of a family of networks: whether there is such a one for these inputs, and of this width."""
    architecture = Architecture(config.backbone, tuple(dataset.shape), config.width)
    Build(architecture, plugins.load("backbones", config.backbone), 0, tuple(dataset.streams)).backbone()


def _check_weights(config: RunConfig, weighting: str) -> None:
    """Weights are of tasks that are trained, not all 0, and for a weighting that takes them."""
    if unwanted := set(config.weights) - set(config.tasks):
        raise unknown("task in --weights", min(unwanted), config.tasks)
    if config.weights and config.weighting != "fixed":
        raise ConfigError(f"--weights with --weighting {config.weighting}, which sets its own (allowed: fixed)")
    if config.budget == "compute" and weighting_class(weighting).backward is not Weighting.backward:
        raise ConfigError(
            f"--budget compute with --weighting {config.weighting}, whose steps cost more than is counted ahead (allowed: "
            "total, final)"
        )
    if set(config.weights) == set(config.tasks) and not any(config.weights.values()):
        raise ConfigError("--weights are all 0: nothing would be trained (allowed: at least one above 0)")


def _open(settings: Settings, data: Mapping[str, Any]) -> Dataset:
    try:
        return open_dataset(settings.dataset, data, settings.data_dir, settings.tasks)
    except MtlbenchError:
        raise
    except FOREIGN as error:  # a user's class may do anything
        raise PluginError(f"data set '{settings.dataset}' cannot be opened: {one_line(error)}") from error


def _given(kind: type[Dataset], settings: Settings) -> dict[str, Any]:
    """The options of a data set that the settings name; `--image-size` is one of them."""
    given = settings.set.get(kind.name, {})
    if settings.image_size is None:
        return given
    if kind.size_option is None:
        raise ConfigError(
            f"--image-size with data set '{kind.name}', which has no size of images (allowed: without it)"
        )
    return {kind.size_option: settings.image_size} | given


def open_for(settings: Settings) -> Dataset:
    """The data set of the settings with the options they set, without any preset."""
    kind = dataset_class(settings.dataset)
    return _open(settings, parse(kind.Options, _given(kind, settings), f"data set {kind.name}").model_dump(mode="json"))


def _preset(dataset: type[Dataset], name: str) -> Mapping[str, Any]:
    if dataset.presets and name not in dataset.presets:
        raise unknown(f"preset of data set {dataset.name}", name, dataset.presets)
    return dataset.presets.get(name, {})


def _pretrained(given: str | None) -> tuple[str | None, str | None]:
    """What identifies the weights ("imagenet", or a file's content hash), and their file."""
    if given in (None, "imagenet"):
        return given, None
    path = Path(str(given))
    if not path.is_file():
        raise ConfigError(f"no weights file '{given}' (allowed: a torchvision state dict, or nothing for ImageNet's)")
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16], str(path)


def available(given: str) -> str:
    """The device that `given` means on this machine (auto: CUDA where there is any); ConfigError where it is not there."""
    kind, _, index = given.partition(":")
    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "cuda" and there <= int(index or 0):
        allowed = ", ".join(["auto", "cpu", *(["cuda"] if there else []), *(f"cuda:{n}" for n in range(there))])
        raise ConfigError(f"device '{given}' is not available here (allowed: {allowed})")
    return given if kind == "cuda" else "cuda" if given == "auto" and there else "cpu"


def elsewhere(settings: Settings, parallel: Parallel) -> str:
    """The device that is meant on a cluster, whose machines may have what this one lacks."""
    if parallel.queues and settings.workers is not None:
        raise ConfigError("--workers with slurm, which has a limit of its own (allowed: array_parallelism in the file)")
    return parallel.device if settings.device == "auto" else settings.device


def runs(study: ResolvedStudy, chosen: Mapping[str, Mapping[str, Any]] | None = None) -> list[Request]:
    """One request a method and seed, at each point of a sweep; seeds outermost. `chosen` holds what was tuned, by method.

    Points may have runs in common (those of methods whose options are not swept): each is asked for once.
    """
    seeds = study.settings.seeds
    found: dict[tuple[str, str], Request] = {}
    for at in study.points or (study,):
        for e in at.entries:
            asked = request(at, e, seeds[0], **(chosen or {}).get(e.name, {}))
            found.setdefault((asked.method, asked.config.model_dump_json()), asked)
    return [at_seed(asked, seed) for seed in seeds for asked in found.values()]


def at_seed(request: Request, seed: int) -> Request:
    """The same run with another seed, the one thing about it that changes."""
    return replace(request, config=request.config.model_copy(update={"seed": seed}))


def request(
    study: ResolvedStudy,
    e: Entry,
    seed: int,
    options: Mapping[str, Any] | None = None,
    trial: int | None = None,
    **changes: Any,
) -> Request:
    """One run: the study's base, the method's options under the preset, what the user set, then `changes`."""
    wanted = {**method_options(study, e), **(options or {})}
    values = {**study.base, **changes, "method": e.name, "options": wanted, "seed": seed}
    config = parse(RunConfig, values, f"method {e.name}")
    settings = study.settings
    return Request(
        config,
        method=e.spec,
        dataset=settings.dataset,
        out=settings.out,
        data_dir=settings.data_dir,
        weights=study.weights,
        weighting=study.weighting,
        device=ranks.device(study.device),
        ranks=ranks.size(),
        readers=settings.readers,
        force=settings.force,
        command=study.command,
        trial=trial,
        point=study.point,
    )


def method_options(study: ResolvedStudy, e: Entry) -> dict[str, Any]:
    """A method's options in full: its defaults under the preset, and what the user set over them."""
    given = study.settings.set.get(e.name, {})
    if e.cls is None:
        return dict(given)
    defaults = e.cls.defaults(study.settings.preset, study.base["dataset"], study.base["tasks"])
    options: dict[str, Any] = parse(e.cls.Options, {**defaults, **given}, f"method {e.name}").model_dump(mode="json")
    return options
