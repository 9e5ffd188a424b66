"""A study as a file that runs again to the same folders, and the schema that editors complete such files by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from mtlbench import plugins
from mtlbench.config import RunConfig, parse
from mtlbench.errors import PluginError
from mtlbench.given import write_yaml
from mtlbench.plugins import Kind
from mtlbench.study.settings import FIXED, RUN_KEYS, Settings
from mtlbench.study.study import ResolvedStudy, method_options, resolve

TEXT_TOO: Mapping[str, Any] = {
    "methods": {"type": "string"},
    "tasks": {"type": "string"},
    "seeds": {"type": ["string", "integer"]},
    "weights": {"type": "string"},
    "image_size": {"type": "integer"},
}
"""What a file may hold instead, as the command line has it."""

NAMES: Mapping[str, Kind] = {"dataset": "datasets", "backbone": "backbones", "weighting": "weightings"}


def print_file(settings: Settings) -> None:
    """Print a configuration file as it is understood."""
    print_config(resolve(settings))


def print_config(study: ResolvedStudy) -> None:
    """Print a study as a file that runs again to the same run folders."""
    print("# yaml-language-server: $schema=study.schema.json (mtlbench config --schema > study.schema.json)")
    print(write_yaml(resolved(study)), end="")


def print_schema() -> None:
    """Print the JSON schema of configuration files."""
    print(json.dumps(schema_of_files(), indent=2))


def resolved(study: ResolvedStudy) -> dict[str, Any]:
    """A study's settings in full: whatever a preset, a default or a flag decided is written out."""
    settings = study.settings.model_dump(mode="json", exclude={"set", "run", "image_size", "force"})
    settings |= {"methods": [e.spec for e in study.entries], "tasks": list(study.base["tasks"])}
    run = parse(RunConfig, {**study.base, "method": "any"}, "the study").model_dump(mode="json", exclude=set(FIXED))
    owned = {e.name: method_options(study, e) for e in study.entries}
    owned[study.base["dataset"]] = dict(study.base["data"])
    said = {**settings, **run, "set": {owner: options for owner, options in owned.items() if options}}
    return {key: value for key, value in said.items() if value is not None}


def schema_of_files() -> dict[str, Any]:
    """The JSON schema of a configuration: settings, the training's keys, and every registered owner's options."""
    definitions: dict[str, Any] = {}
    settings, run = _schema("Settings", Settings, definitions), _schema("RunConfig", RunConfig, definitions)
    properties = {k: v for k, v in settings["properties"].items() if k not in ("run", "set")}
    training = {k: run["properties"][k] for k in RUN_KEYS}
    properties |= training
    for key, registered in NAMES.items():
        known = [{"enum": plugins.names(registered)}, {"type": "string", "pattern": ":"}]  # or a class of one's own
        properties[key] = {"anyOf": known, "description": properties[key].get("description", "")}
    for key in TEXT_TOO.keys() & properties.keys():
        said = properties[key]
        properties[key] = {"anyOf": [TEXT_TOO[key], said], "description": said.get("description", "")}
    owners: dict[str, Any] = {"run": {"type": "object", "properties": training, "additionalProperties": False}}
    for kind in ("methods", "datasets"):
        for name in plugins.names(kind):
            try:
                owners[name] = _schema(name, plugins.load(kind, name).Options, definitions)
            except PluginError:
                continue  # `list` names what cannot be loaded
    mapping = {"type": "object", "properties": owners, "additionalProperties": {"type": "object"}}
    assignments = {"type": "array", "items": {"type": "string"}}
    properties["set"] = {
        "anyOf": [mapping, assignments],
        "description": "Options of methods and data sets: owner, option, value.",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A study of mtlbench",
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "$defs": definitions,
    }


def _schema(name: str, model: type[BaseModel], definitions: dict[str, Any]) -> dict[str, Any]:
    """A model's schema, its own definitions moved to the whole's under names of their own."""
    own = model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}")
    definitions |= {f"{name}.{key}": value for key, value in own.pop("$defs", {}).items()}
    own.pop("required", None)  # a file names what differs
    return own
