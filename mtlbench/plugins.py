"""One door for everybody: methods, data sets and backbones come from entry points, or from path/to/file.py:Class."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from mtlbench.errors import PluginError, one_line, unknown

Kind = Literal["methods", "datasets", "backbones"]


@cache
def _entries(kind: Kind) -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=f"mtlbench.{kind}")}


def names(kind: Kind) -> list[str]:
    """The registered names of a kind, in the order their packages declare them."""
    return list(_entries(kind))


def load(kind: Kind, spec: str) -> Any:
    """The object behind a name, a `file.py:Class` or a `package.module:Class`.

    Raises UnknownName for a name nobody registered, PluginError where the file, module or class cannot be loaded.
    """
    if ":" not in spec:
        if spec not in _entries(kind):
            raise unknown(kind.removesuffix("s").replace("dataset", "data set"), spec, _entries(kind))
        try:
            return _entries(kind)[spec].load()
        except (Exception, SystemExit) as error:
            raise PluginError(f"{kind} entry point '{spec}' cannot be loaded: {one_line(error)}") from error
    place, _, attribute = spec.rpartition(":")
    module = _from_file(place) if place.endswith(".py") else _from_module(place)
    if not hasattr(module, attribute):
        classes = [n for n, v in vars(module).items() if inspect.isclass(v) and v.__module__ == module.__name__]
        raise PluginError(str(unknown(f"class in '{place}'", attribute, classes)))
    return getattr(module, attribute)


def _from_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise PluginError(f"cannot import '{name}': {one_line(error)}") from error


def _from_file(path: str) -> ModuleType:
    file = Path(path).resolve()
    if not file.is_file():
        raise PluginError(f"no file '{path}' (a plugin is given as path/to/file.py:Class)")
    # The content is part of the name: a file changed meanwhile is another module, as it is another run.
    key = str(file).encode() + file.read_bytes()
    name = f"mtlbench_plugin_{hashlib.sha256(key).hexdigest()[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pydantic look their module up by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise PluginError(f"cannot import '{path}': {one_line(error)}") from error
    return module


def source_hash(spec: str) -> str | None:
    """The content hash of a user's file, part of a run's identity; None for what is installed."""
    place = spec.rpartition(":")[0]
    if not place.endswith(".py"):
        return None
    return hashlib.sha256(Path(place).read_bytes()).hexdigest()[:16]
