"""The methods of a study: from what was named to classes, all names distinct and all options addressed to somebody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from mtlbench import plugins
from mtlbench.backbones import Backbone
from mtlbench.errors import PluginError, unknown
from mtlbench.method import Method
from mtlbench.study.settings import Settings


@dataclass(frozen=True)
class Entry:
    """A method of the study: how it was given, its name, and its class (None: its file cannot be imported)."""

    spec: str
    name: str
    cls: Any


def entries(settings: Settings, dataset: str = "scenes") -> tuple[Entry, ...]:
    """The methods of the settings, all names distinct and all options addressed to somebody."""
    found = tuple(entry(spec) for spec in expand(settings.methods))
    _no_clash(found)
    _known_owners(settings, found, dataset)
    return found


def expand(specs: Iterable[str]) -> list[str]:
    """Method specs with "all" replaced by every registered name; one that "all" brings already is not repeated."""
    expanded: list[str] = []
    for spec in specs:
        expanded += [n for n in (plugins.names("methods") if spec == "all" else [spec]) if n not in expanded]
    return expanded


def entry(spec: str) -> Entry:
    """A method by its spec. A file or module that is there but raises when imported becomes a run that fails."""
    try:
        cls = plugins.load("methods", spec)
    except PluginError as error:
        place, _, attribute = spec.rpartition(":")
        if not place or _is_missing(error.__cause__, place):
            raise
        return Entry(spec, attribute, None)
    name = plugins.checked(cls, Method, "method", spec).name
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name):
        raise PluginError(f"'{spec}' has the name {name!r} (allowed: a text of letters, digits and - _ . +)")
    return Entry(spec, name, cls)


def _is_missing(cause: BaseException | None, place: str) -> bool:
    """Whether nothing of that name is there (a wrong command) rather than something that breaks (a failed run)."""
    if cause is None:
        return True
    return isinstance(cause, ModuleNotFoundError) and f"{place}.".startswith(f"{cause.name}.")


def _no_clash(entries: Sequence[Entry]) -> None:
    taken = {name: name for name in (*plugins.names("methods"), "run")}
    for e in entries:
        if taken.get(e.name, e.spec) != e.spec:
            raise PluginError(f"'{e.spec}' has the name '{e.name}', which is taken by '{taken[e.name]}': rename it")
        taken[e.name] = e.spec


def _known_owners(settings: Settings, entries: Sequence[Entry], dataset: str) -> None:
    """Options may be set for the study's methods and data; for others too, so that one file serves many studies."""
    registered = {*plugins.names("methods"), *plugins.names("datasets")}
    owners = [*(e.name for e in entries), dataset]
    for owner in settings.set:
        if owner not in owners and owner not in registered:
            raise unknown("owner in --set", owner, [*owners, "run"])


def check_backbone(name: str) -> None:
    """UnknownName for a backbone nobody registered, PluginError for what cannot be imported or makes no backbone."""
    found = plugins.load("backbones", name)
    if not callable(found) or (isinstance(found, type) and not issubclass(found, Backbone)):
        raise PluginError(f"'{name}' is not a backbone (a function of (architecture, norm) that makes one is expected)")
