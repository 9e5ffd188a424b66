"""What a study was asked for: flags over the configuration file, checked key by key. Needs no torch."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mtlbench.config import Preset, RunConfig, parse
from mtlbench.errors import ConfigError, short, unknown
from mtlbench.given import DIGITS, device, parse_yaml, path, read_yaml, spec

FIXED = ("method", "options", "dataset", "data", "tasks", "preset", "seed", "role", "pretrained")
"""Keys of RunConfig that are decided by other settings; the rest can be set as `run.key`."""
RUN_KEYS = tuple(k for k in RunConfig.model_fields if k not in FIXED)
PATHS = ("data_dir", "out", "pretrained", "parallel")
SPECS = ("methods", "dataset", "backbone", "weighting")
MOST_SEEDS = 10_000
MOST_TRIALS = 1000


class Settings(BaseModel):
    """What the command line and the configuration file say; `run` holds keys of RunConfig, `set` options by owner."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    methods: tuple[str, ...] = Field(("all",), min_length=1, description="Names, file.py:Class, or all.")
    dataset: str = Field("scenes", description="A data set's name, or file.py:Class.")
    data_dir: str | None = Field(None, description="Where the data set lies on disk.")
    tasks: tuple[str, ...] | None = Field(None, description="Some of its tasks; null is all.")
    image_size: str | None = Field(None, description="The size that images are read at, HEIGHTxWIDTH or one number.")
    preset: Preset = Field("quick", description="Where what is not given comes from: quick, standard or paper.")
    seeds: tuple[int, ...] = Field((0,), min_length=1, description="The seeds that every method runs with.")
    sweep: str | None = Field(
        None, description="Points to run the study at: weights, or owner.option=VALUE,VALUE as for --set."
    )
    tune: int = Field(0, ge=0, le=MOST_TRIALS, description="Validation-only trials of every method before the study.")
    tune_steps: int | None = Field(None, ge=1, le=10**9, description="Steps of a trial; null is the study's.")
    tune_seeds: int = Field(2, ge=2, le=100, description="Seeds outside the study that every trial runs with.")
    tune_validation: float = Field(
        0.2, gt=0, le=0.5, description="The fraction of train held out for validation in a trial, where it is more."
    )
    set: dict[str, dict[str, Any]] = Field({}, description="Options of methods and data sets, by owner.")
    run: dict[str, Any] = Field({}, description="Keys of a run's configuration.")
    pretrained: str | None = Field(None, description="imagenet, or a file of weights to start from.")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:NUMBER.")
    workers: int | None = Field(None, ge=1, le=1024, description="Runs side by side; null is a core each on CPU.")
    threads: int | None = Field(None, ge=1, le=1024, description="Threads of each; null shares the cores out.")
    readers: int = Field(0, ge=0, le=256, description="Threads of a run that read its batches ahead; 0 reads in turn.")
    parallel: str | None = Field(
        None, description="A file that says which cluster executes the runs; null is this machine."
    )
    out: str = Field("results", description="The results folder.")
    force: bool = Field(False, description="Whether finished runs are run again.")


def gather(flags: Mapping[str, Any], file: str | None = None) -> Settings:
    """The settings of a configuration file with flags over them; a flag that is None was not given.

    Raises ConfigError for an unknown key or a wrong value, naming it.
    """
    said = _shaped(_read(file), f"'{file}'") if file else {}
    given = _shaped({k: v for k, v in flags.items() if v is not None}, "the command line")
    for key in ("run", "set"):
        given[key] = _merged(said.get(key, {}), given.get(key, {}))
    settings: Settings = parse(Settings, said | given, "the study")
    for what, values in (("method", settings.methods), ("seed", settings.seeds)):
        if len(set(values)) < len(values):
            raise ConfigError(f"a {what} is named twice in '{','.join(map(str, values))}'")
    return settings


def _read(file: str) -> dict[str, Any]:
    data = read_yaml(path(file, "--config"), f"the configuration '{file}'")
    if not isinstance(data, dict):
        raise ConfigError(
            f"the configuration '{file}' holds {short(repr(data))} (a mapping like 'methods: all' is expected)"
        )
    return {str(k).replace("-", "_"): v for k, v in data.items()}


def _shaped(said: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Keys of RunConfig moved to `run`, comma lists split, `set` nested by owner."""
    shaped: dict[str, Any] = {"run": {}, "set": {}}
    for key, value in said.items():
        if key in RUN_KEYS:
            shaped["run"][key] = _listed(key, value)
        elif key == "set":
            shaped["set"] = _assignments(value, source)
        elif key in Settings.model_fields and key != "run":
            shaped[key] = _listed(key, value)
        else:
            raise unknown(f"setting in {source}", key, [*RUN_KEYS, *(k for k in Settings.model_fields if k != "run")])
    shaped["run"] |= shaped["set"].pop("run", {})
    if "weights" in shaped["run"]:
        shaped["run"]["weights"] = weights(shaped["run"]["weights"])
    return shaped


def _listed(key: str, value: Any) -> Any:
    """A setting as the model wants it: lists split, paths and the files of plug-ins with `~` and variables filled in."""
    if key == "seeds":
        return seeds(value)
    if key in ("methods", "tasks") and isinstance(value, str):
        value = tuple(part.strip() for part in value.split(",") if part.strip())
    if key == "image_size" and isinstance(value, int | list | tuple):
        return "x".join(map(str, value if isinstance(value, list | tuple) else [value]))
    if key == "device" and isinstance(value, str):
        return device(value)
    if key in PATHS and isinstance(value, str):
        return value if (key, value) == ("pretrained", "imagenet") else path(value, key)
    if key in SPECS:
        return spec(value) if isinstance(value, str) else _each(spec, value)
    return value


def weights(value: Any) -> Any:
    """The tasks' weights from text such as "a=1,b=.5"; a mapping is taken as it is."""
    if not isinstance(value, str):
        return value
    found: dict[str, str] = {}
    for part in value.split(","):
        task, equals, weight = (x.strip() for x in part.partition("="))
        if not (task and equals and weight) or task in found:
            raise ConfigError(f"weights are '{value}' (allowed: each task once with a number from 0, like a=1,b=.5)")
        found[task] = weight
    return found


def _each(change: Callable[[str], str], values: Any) -> Any:
    if not isinstance(values, list | tuple):
        return values
    return tuple(change(v) if isinstance(v, str) else v for v in values)


def seeds(value: Any) -> tuple[int, ...]:
    """Seeds from a number, a list, or text such as "0,1,2" or "0-4"."""
    parts = value if isinstance(value, list | tuple) else str(value).split(",")
    found: list[int] = []
    for part in map(str, parts):
        match = re.fullmatch(rf"\s*(\d{{1,{DIGITS}}})(?:-(\d{{1,{DIGITS}}}))?\s*", part, re.ASCII)
        if match is None:
            long = f" of up to {DIGITS} digits" if len(part) > DIGITS else ""
            raise ConfigError(
                f"seeds are '{short(str(value))}' (allowed: whole numbers from 0{long}, like 0,1,2 or 0-4)"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        count = len(found) + last - first + 1
        if last < first or count > MOST_SEEDS:
            allowed = f"up to {MOST_SEEDS} seeds, the first of a range not above its last"
            raise ConfigError(f"seeds '{short(str(value))}' are {max(0, count)} (allowed: {allowed})")
        found += range(first, last + 1)
    return tuple(found)


def _assignments(value: Any, source: str) -> dict[str, dict[str, Any]]:
    """`owner.option=value` texts, or the same as a nested mapping, by owner."""
    nested: dict[str, dict[str, Any]] = {}
    if isinstance(value, Mapping):
        for owner, options in value.items():
            if not isinstance(options, Mapping):
                raise ConfigError(
                    f"'set' in {source}: '{owner}' is {short(repr(options))} (a mapping of options is expected)"
                )
            nested[str(owner)] = dict(options)
        return nested
    if not isinstance(value, list | tuple):
        raise ConfigError(f"'set' in {source} is {short(repr(value))} (a mapping of owners to options is expected)")
    for text in map(str, value):
        name, equals, given = text.partition("=")
        owner, dot, option = name.strip().rpartition(".")
        if not (equals and dot and owner and option):
            raise ConfigError(
                f"--set '{short(text)}' (allowed: method.option=value, dataset.option=value or run.key=value)"
            )
        try:
            nested.setdefault(owner, {})[option] = parse_yaml(given, f"'{short(given)}'")
        except ConfigError as error:
            raise ConfigError(f"--set '{short(text)}': {error}") from error
    return nested


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(first)
    for key, value in second.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = {**merged[key], **value} if both else value
    return merged
