"""One door for everybody: methods, data sets, backbones and kinds of tasks come from entry points, or from file.py:Class."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, TypeVar

from mtlbench import neighbours
from mtlbench.errors import FOREIGN, ConfigError, PluginError, one_line, unknown

C = TypeVar("C")
Kind = Literal["methods", "datasets", "backbones", "kinds", "weightings"]

WORDS: Mapping[Kind, str] = {
    "methods": "method",
    "datasets": "data set",
    "backbones": "backbone",
    "kinds": "kind of task",
    "weightings": "weighting",
}
_PREFIX = "mtlbench_plugin_"


@cache
def _entries(kind: Kind) -> dict[str, EntryPoint]:
    return {e.name: e for e in entry_points(group=f"mtlbench.{kind}")}


@cache
def _families() -> dict[str, EntryPoint]:
    """Families of backbones: `FAMILY:NAME` is made by the function behind the entry point."""
    return {e.name: e for e in entry_points(group="mtlbench.backbone_families")}


def registered(kind: Kind, spec: str) -> bool:
    """Whether a spec is a registered name, or one of a registered family of backbones."""
    return spec in _entries(kind) or (kind == "backbones" and spec.rpartition(":")[0] in _families())


def names(kind: Kind) -> list[str]:
    """The registered names of a kind, in the order their packages declare them."""
    return list(_entries(kind))


def families() -> dict[str, Any]:
    """The functions behind the registered families of backbones, by family: `FAMILY:NAME` names one of its networks."""
    return {name: entry.load() for name, entry in _families().items()}


def load(kind: Kind, spec: str) -> Any:
    """The object behind a name, a `file.py:Class` or a `package.module:Class`.

    Raises UnknownName for a name nobody registered, PluginError where the file, module or class cannot be loaded.
    """
    if ":" not in spec:
        if spec not in _entries(kind):
            raise unknown(WORDS[kind], spec, _entries(kind))
        try:
            return _entries(kind)[spec].load()
        except FOREIGN as error:
            raise PluginError(f"{kind} entry point '{spec}' cannot be loaded: {one_line(error)}") from error
    place, _, attribute = spec.rpartition(":")
    if kind == "backbones" and place in _families():
        return _families()[place].load()(attribute)
    module = _from_file(place) if place.endswith(".py") else _from_module(place)
    if not hasattr(module, attribute):
        classes = [n for n, v in vars(module).items() if inspect.isclass(v) and v.__module__ == module.__name__]
        raise PluginError(str(unknown(f"class in '{place}'", attribute, classes)))
    return getattr(module, attribute)


def checked(found: Any, base: type[C], what: str, spec: str) -> type[C]:
    """`found`, the object behind a spec, as a named subclass of `base`; PluginError where it is not a `what`."""
    if not (isinstance(found, type) and issubclass(found, base) and isinstance(getattr(found, "name", None), str)):
        wanted = f"a subclass of {base.__module__}.{base.__qualname__} with a `name` is expected"
        raise PluginError(f"'{spec}' is not a {what} ({wanted})")
    return found


class Named:
    """What a record names, looked up without trusting it: registered names, and what the user named on the command line.

    `specs` are the user's, `file.py:Class` or `package.module:Class`; nothing else is imported.
    """

    def __init__(self, specs: Sequence[str] = ()) -> None:
        for spec in specs:
            if ":" not in spec:
                raise ConfigError(f"--plugin is '{spec}' (allowed: path/to/file.py:Class or package.module:Class)")
        self._given = {spec: load("methods", spec) for spec in specs if not registered("backbones", spec)}
        for spec, found in self._given.items():
            if not _plugs_in(found):
                raise PluginError(f"'{spec}' is not a method, data set, backbone, kind or weighting")

    def load(self, kind: Kind, name: str) -> tuple[Any, str]:
        """What a record calls `name`, and the spec it was found by; ConfigError where nobody registered or named it."""
        if ":" in name and registered(kind, name):
            return load(kind, name), name
        own = name.rpartition(":")[2]
        for spec, found in self._given.items():
            if own in (getattr(found, "name", None), getattr(found, "__name__", None)):
                return found, spec
        if name in names(kind):
            return load(kind, name), name
        word = WORDS[kind]
        raise ConfigError(
            f"the record names the {word} '{name}', which is not registered; a record is data, and no file is imported "
            f"for it (give its class yourself: --plugin path/to/file.py:{own if ':' in name else 'Class'})"
        )


def _plugs_in(found: Any) -> bool:
    """Whether an object can be a plug-in: a named class or one that stands on a contract of ours, or a backbone's maker."""
    if not isinstance(found, type):
        return callable(found)
    return isinstance(getattr(found, "name", None), str) or any(
        base.__module__.partition(".")[0] == __name__.partition(".")[0] for base in found.__mro__
    )


def _from_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except FOREIGN as error:
        raise PluginError(f"cannot import '{name}': {one_line(error)}") from error


def _from_file(path: str) -> ModuleType:
    file = Path(path).resolve()
    if not file.is_file():
        raise PluginError(f"no file '{path}' (a plugin is given as path/to/file.py:Class)")
    # The content is part of the name: a file changed meanwhile, or one beside it, is another module, as it is another run.
    package = f"{_PREFIX}{hashlib.sha256(f'{file} {neighbours.digest(file)}'.encode()).hexdigest()[:12]}"
    name = f"{package}.{file.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[package] = _package(package, file.parent)  # so that `from . import` finds what lies beside the file
    sys.modules[name] = module  # dataclasses and pydantic look their module up by name
    try:
        with neighbours.importable(file):
            spec.loader.exec_module(module)
    except FOREIGN as error:
        for loaded in [n for n in sys.modules if n == package or n.startswith(f"{package}.")]:
            del sys.modules[loaded]
        raise PluginError(f"cannot import '{path}': {one_line(error)}") from error
    return module


def _package(name: str, folder: Path) -> ModuleType:
    package = ModuleType(name)
    package.__path__ = [str(folder)]
    return package


def of_file(module: str) -> bool:
    """Whether a module, by its name, is a user's file that was loaded from its path."""
    return module.startswith(_PREFIX)


def source_hash(spec: str) -> str | None:
    """The hash of a user's file and of those beside it that it imports, part of a run's identity; of their content, not
    their path. None for what is registered, and for the packages that are registered.
    """
    place = spec.rpartition(":")[0]
    if place.endswith(".py"):
        return neighbours.digest(Path(place).resolve())[:16]
    if not place or place.partition(".")[0] in _packages():
        return None
    try:
        found = importlib.util.find_spec(place)
    except (ImportError, ValueError):  # loading it will say so
        return None
    return neighbours.digest(Path(found.origin).resolve())[:16] if found is not None and found.origin else None


@cache
def _packages() -> frozenset[str]:
    return frozenset(entry.module.partition(".")[0] for kind in WORDS for entry in _entries(kind).values())
