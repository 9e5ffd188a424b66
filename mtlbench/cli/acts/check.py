"""What the contract batteries find."""

from __future__ import annotations

from collections.abc import Sequence

from mtlbench import checks, plugins
from mtlbench.checks import Finding
from mtlbench.study.entries import entries
from mtlbench.study.settings import Settings
from mtlbench.study.study import open_for
from mtlbench.tasks import Kind


def method_findings(settings: Settings) -> Sequence[Finding]:
    """The one method of the settings, with the options they set."""
    (entry,) = entries(settings)
    return checks.battery(entry.spec, settings.set.get(entry.name, {}))


def dataset_findings(settings: Settings) -> Sequence[Finding]:
    """The data set of the settings, with the options they set."""
    return checks.dataset_battery(open_for(settings))


def kind_findings(spec: str) -> Sequence[Finding]:
    """A kind of task, by its name or where it stands."""
    found = plugins.checked(plugins.load("kinds", spec), Kind, "kind of task", spec)  # type: ignore[type-abstract]
    return checks.kind_battery(found)
