"""Whatever bears a name, with its options: looked up, and told."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from mtlbench import plugins
from mtlbench.cli.options import options
from mtlbench.cli.tables import table
from mtlbench.config import Preset, RunConfig
from mtlbench.data.base import Dataset
from mtlbench.errors import FOREIGN, PluginError, one_line, unknown
from mtlbench.method import Method
from mtlbench.study.settings import RUN_KEYS
from mtlbench.tasks import Kind
from mtlbench.tasks.metric import LABEL_UNIT
from mtlbench.training.weighting import Weighting

RUN = "run"
"""What `--set run.key=value` reaches: the training itself."""


def found(name: str, dataset: str, tasks: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Whatever bears the name: a name may stand for things of several kinds."""
    kinds = get_args(plugins.Kind)
    if name == RUN:
        yield _described("training", RUN, RunConfig, dataset, tasks)
        return
    if name in plugins.families():
        yield _described("family of backbones", name, plugins.families()[name], dataset, tasks)
        return
    if plugins.registered("backbones", name) and ":" in name:
        family = plugins.families()[name.partition(":")[0]]
        yield {**_described("backbone", name, family, dataset, tasks), "about": _network(name)}
        return
    if ":" in name:
        thing = plugins.load("methods", name)
        yield _described(_kind_of(thing), name, thing, dataset, tasks)
        return
    bearing = [kind for kind in kinds if name in plugins.names(kind)]
    if not bearing:
        raise unknown("name", name, [RUN, *plugins.families(), *(n for kind in kinds for n in plugins.names(kind))])
    for kind in bearing:
        yield _described(plugins.WORDS[kind], name, plugins.load(kind, name), dataset, tasks)


def _network(name: str) -> str:
    """A family's network as it is made for images: its blocks, the channels after them, and its parameters."""
    from mtlbench.backbones import Architecture, Build

    build = Build(Architecture(name, (3, 224, 224), 1.0), plugins.load("backbones", name), 0, ("all",))
    made = build.backbone()
    blocks = " + ".join(str(len(list(stage.children()))) for stage in made.stages)
    count = sum(p.numel() for p in made.parameters()) / 1e6
    channels = ", ".join(map(str, made.channels[1:]))
    return f"{blocks} blocks of {channels} channels, stride {made.stride}, {count:.2f} M parameters without a head."


def _kind_of(thing: Any) -> str:
    """What the class of a user's file is, by the contract it keeps."""
    for base, word in ((Method, "method"), (Dataset, "data set"), (Kind, "kind of task"), (Weighting, "weighting")):
        if isinstance(thing, type) and issubclass(thing, base):
            return word
    return "backbone"


def _described(kind: str, name: str, thing: Any, dataset: str, tasks: tuple[str, ...]) -> dict[str, Any]:
    """Everything `show` says about one thing."""
    said: dict[str, Any] = {"name": name, "kind": kind, "about": inspect.getdoc(thing) or "", "source": _source(thing)}
    if kind == "kind of task":
        said["metrics"] = [_metric(m) for m in thing.metrics]
    model = thing if kind == "training" else getattr(thing, "Options", None)
    if model is None:
        return said
    said["options"] = [
        {"name": o.name, "allowed": o.allowed, "default": o.default, "meaning": o.meaning, "defaults": dict(o.defaults)}
        for o in options(model, _presets(kind, thing, dataset, tasks))
        if kind != "training" or o.name in RUN_KEYS
    ]
    return said


def _metric(metric: Any) -> str:
    unit = f" ({metric.unit.replace(LABEL_UNIT, 'the unit of the label')})" if metric.unit else ""
    return f"{metric.name}{unit}, {'higher' if metric.higher else 'lower'} is better{', primary' * metric.primary}"


def _presets(kind: str, thing: Any, dataset: str, tasks: tuple[str, ...]) -> Mapping[str, Mapping[str, Any]]:
    """What each preset sets: of a method for the data set named, of a data set for itself, of the training for both."""
    if kind == "data set":
        return {preset: values.get("data", {}) for preset, values in thing.presets.items()}
    presets: Mapping[str, Mapping[str, Any]] = plugins.load("datasets", dataset).presets
    if kind == "training":
        return presets
    if kind != "method":
        return {}
    names = [preset for preset in get_args(Preset) if preset in presets] or list(get_args(Preset))
    try:
        return {preset: thing.defaults(preset, dataset, tasks) for preset in names}
    except FOREIGN as error:  # a user's class may do anything
        raise PluginError(f"'{thing.__name__}' cannot name its defaults: {one_line(error)}") from error


def _source(thing: Any) -> str:
    """Where it is written: the file and the line."""
    try:
        return f"{inspect.getsourcefile(thing)}:{inspect.getsourcelines(thing)[1]}"
    except (OSError, TypeError):
        return ""


def text(said: Mapping[str, Any]) -> str:
    lines = [f"{said['name']} ({said['kind']})", "", said["about"], "", f"source: {said['source']}"]
    lines += [f"metric: {m}" for m in said.get("metrics", ())]
    if "options" in said:
        owner = said["name"].rpartition(":")[2] if said["kind"] != "training" else RUN
        rows = [(o["name"], o["allowed"], o["default"], o["meaning"]) for o in said["options"]]
        lines += ["", f"options (--set {owner}.OPTION=VALUE)" if rows else "no options"]
        lines += [table(("option", "allowed", "default", "meaning"), rows)] if rows else []
    return "\n".join(lines)
