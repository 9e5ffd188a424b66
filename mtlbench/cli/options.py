"""Options as people read them: name, what is allowed, default under each preset, meaning; drawn from the models."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mtlbench.config import plain

PLAIN = {"integer": "whole number", "number": "number", "string": "text", "boolean": "true | false", "null": "null"}


@dataclass(frozen=True)
class Option:
    """One option of a model; `defaults` holds its value by preset, all equal where no preset changes it."""

    name: str
    allowed: str
    defaults: Mapping[str, Any]
    meaning: str

    @property
    def default(self) -> str:
        """The default in words: one value, or each preset's where they differ."""
        texts = {preset: shown(value) for preset, value in self.defaults.items()}
        if len(set(texts.values())) <= 1:
            return next(iter(texts.values()), "")
        return ", ".join(f"{text} ({preset})" for preset, text in texts.items())


def options(model: type[BaseModel], presets: Mapping[str, Mapping[str, Any]]) -> list[Option]:
    """A model's options in its own order; `presets` holds what each preset sets over the model's defaults."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    found = []
    for name, field in model.model_fields.items():
        own = "needed" if field.is_required() else field.get_default(call_default_factory=True)
        defaults = {preset: values.get(name, own) for preset, values in presets.items()} or {"": own}
        said = allowed(schema["properties"].get(field.alias or name, {}), definitions)
        found.append(Option(name, said, defaults, field.description or ""))
    return found


def allowed(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a JSON schema allows, in a few words: `a | b`, `number above 0, up to 1`, `list of text`."""
    if "$ref" in schema:
        return allowed(definitions.get(schema["$ref"].rpartition("/")[2], {}), definitions)
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(allowed(part, definitions) for part in schema["anyOf"]))
    kind = schema.get("type", "")
    if kind == "array":
        parts = [allowed(part, definitions) for part in schema.get("prefixItems", [schema.get("items", {})])]
        return f"list of {', '.join(parts) if len(set(parts)) > 1 else _many(parts)}"
    if kind == "object":
        return "mapping"
    return PLAIN.get(kind, "anything") + _bounds(schema)


def _many(parts: Sequence[str]) -> str:
    return f"{len(parts)} x {parts[0]}" if len(parts) > 1 else parts[0] or "anything"


def _bounds(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    said = [f"{word} {plain(schema[key])}" for key, word in words.items() if key in schema]
    return f" {', '.join(said)}" if said else ""


def shown(value: Any) -> str:
    """A value as one writes it behind `--set name=`."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json")
    if isinstance(value, str):
        return value
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(shown, value))}]"
    return json.dumps(value, default=str)
