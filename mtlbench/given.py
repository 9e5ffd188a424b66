"""What a user gives, before anything believes it: paths as people write them, and YAML within limits. Needs no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import yaml

from mtlbench.errors import ConfigError, printable, short

LARGEST = 2**20  # bytes of a configuration
MOST = 20_000  # values in it, aliases written out
DEEPEST = 40
LONGEST = 1000  # characters of a path
DIGITS = 18  # of a whole number: beyond, nothing here is counted


def path(text: str, what: str = "path") -> str:
    """A path as the user wrote it, with `~` and `$VARIABLE` filled in; a relative one starts at the working directory.

    `$$` is a dollar sign. Raises ConfigError for an empty text, a character that no path has, an unknown variable.
    """
    if not text:
        raise ConfigError(f"{what} is '' (a path is expected)")
    if len(whole(text, what)) > LONGEST:
        raise ConfigError(f"{what} '{short(text)}' is {len(text)} characters long (allowed: up to {LONGEST})")

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if not name:
            return "$"
        if name not in os.environ:
            raise ConfigError(f"{what} '{text}': no variable {name} is set (write $$ for a dollar sign)")
        return os.environ[name]

    return os.path.expanduser(re.sub(r"\$(?:\$|(\w+)|\{(\w+)\})", value, text))


def spec(text: str) -> str:
    """A name as it is; a `file.py:Class` with its file as `path` gives it."""
    place, colon, attribute = text.rpartition(":")
    return f"{path(place)}:{attribute}" if colon and place.endswith(".py") else whole(text)


def whole(text: str, what: str = "argument") -> str:
    """The text itself; ConfigError where it holds what no command line, path or record can: NUL or half characters."""
    if "\0" in text:
        raise ConfigError(f"{what} '{short(text)}' holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{what} '{short(text)}' is not UTF-8 text") from None
    return text


def device(text: str) -> str:
    """A device as it is called here: auto, cpu, cuda or cuda:N; `gpu` is CUDA's. ConfigError for any other."""
    match = re.fullmatch(r"(auto|cpu)|(?:cuda|gpu)(:[0-9]{1,3})?", text.strip().lower(), re.ASCII)
    if match is None:
        apple = "; Apple's GPUs are not supported" if text.strip().lower().startswith("mps") else ""
        allowed = "auto, cpu, cuda, or cuda:1 for the second of several"
        raise ConfigError(f"device is '{short(text)}' (allowed: {allowed}{apple})")
    return match[1] or f"cuda{match[2] or ''}"


def bounded(what: str, value: float, least: float, most: float) -> None:
    """ConfigError where a number is not between two others (and so where it is not a number)."""
    if not least <= value <= most:
        raise ConfigError(f"{what} is {value:g} (allowed: from {least:g} to {most:g})")


def read_yaml(file: str, what: str) -> Any:
    """The value in a YAML file; ConfigError names what is wrong with it. `what` names the file in messages."""
    try:
        with Path(file).open("rb") as stream:
            data = stream.read(LARGEST + 1)
        text = data.decode("utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot read {what}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} is not valid YAML: it is not UTF-8 text ({error.reason})") from error
    if len(data) > LARGEST:
        raise ConfigError(f"{what} is too large (allowed: up to {LARGEST:,} bytes)")
    return parse_yaml(text, what)


def parse_yaml(text: str, what: str) -> Any:
    """The value of a YAML text of a few plain kinds: mappings, lists, text, numbers, true, false, null.

    Unlike YAML 1.1, `no`, `on`, `1:30` and dates are text, 010 is ten and 1e-3 a number; a key twice is an error.
    """
    try:
        _shallow(text)
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ConfigError(f"{what} is not valid YAML: {short(printable(str(error)), 300)}") from error


def _shallow(text: str) -> None:
    """Refuse what is too deep or too long before anything recursive sees it."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or count > 2 * MOST:
            raise yaml.YAMLError(f"nested deeper than {DEEPEST}" if depth > DEEPEST else f"more than {MOST} values")


def _count(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """The values under a node with every alias written out; too many, or one that holds itself, is an error."""
    if node not in known:
        known[node] = MOST + 1  # while it is open: to meet it again inside itself is without end
        inside = node.value if isinstance(node, yaml.CollectionNode) else ()
        parts = [part for item in inside for part in (item if isinstance(item, tuple) else (item,))]
        known[node] = 1 + sum(_count(part, known) for part in parts)
    if known[node] > MOST:
        raise yaml.YAMLError(f"more than {MOST} values with its aliases written out")
    return known[node]


class _Loader(yaml.SafeLoader):
    """Plain values only."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 (as in the base class)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:
        keys = [
            key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and not key.tag.endswith(":merge")
        ]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise yaml.YAMLError(f"the key '{short(twice)}' stands twice in one mapping")
        return super().construct_mapping(node, deep)


def _plain(pattern: str, make: Callable[[str], Any]) -> tuple[re.Pattern[str], Callable[[_Loader, Any], Any]]:
    return re.compile(rf"(?:{pattern})$"), lambda loader, node: make(node.value)


def _whole_number(text: str) -> int:
    digits = text.replace("_", "")
    if len(digits) > DIGITS + 1:
        raise yaml.YAMLError(f"'{short(text)}' has {len(digits)} digits (allowed: up to {DIGITS})")
    return int(digits)


def _float(text: str) -> float:
    return float(text.lower().replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))


def _text(loader: _Loader, node: Any) -> str:
    return whole(str(node.value), "the text")


_KINDS = {
    "merge": _plain("<<", str),
    "null": _plain("~|null|Null|NULL|", lambda _: None),
    "bool": _plain("true|True|TRUE|false|False|FALSE", lambda text: text.lower() == "true"),
    "int": _plain("[-+]?[0-9][0-9_]*", _whole_number),
    "float": _plain(
        r"[-+]?(?:[0-9][0-9_]*)?\.[0-9_]+(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*(?:\.(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        _float,
    ),
}
for _name, (_pattern, _make) in _KINDS.items():
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)
    if _name != "merge":
        _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _make)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)


class _Dumper(yaml.SafeDumper):
    """Text that would be read as another value stands in quotes."""


def _quoted(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    plain = text.isprintable() and not any(pattern.match(text) for pattern, _ in _KINDS.values())
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, None if plain else '"')


_Dumper.add_representer(str, _quoted)


def write_yaml(value: Any) -> str:
    """Plain values as the YAML text from which `parse_yaml` reads them back."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
