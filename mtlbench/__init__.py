"""mtlbench: every way to share a network between tasks, trained under one protocol and measured on what would be deployed.

What authors and notebooks import stands here, and is loaded when it is first used: `from mtlbench import Method`.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PLACES = {
    # authors
    "Method": "mtlbench.method",
    "Options": "mtlbench.method",
    "Budget": "mtlbench.method",
    "Phase": "mtlbench.method",
    "Turn": "mtlbench.method",
    "Group": "mtlbench.method",
    "Optimizer": "mtlbench.method",
    "Artefact": "mtlbench.method",
    "Knob": "mtlbench.method",
    "Task": "mtlbench.tasks",
    "Kind": "mtlbench.tasks",
    "Metric": "mtlbench.tasks",
    "Dataset": "mtlbench.data.base",
    "DataOptions": "mtlbench.data.base",
    "Batch": "mtlbench.data.base",
    "Build": "mtlbench.backbones",
    "Architecture": "mtlbench.backbones",
    "Backbone": "mtlbench.backbones",
    "Block": "mtlbench.backbones",
    "Weighting": "mtlbench.training.weighting",
    # notebooks
    "run_study": "mtlbench.study.start",
    "load_network": "mtlbench.deployed.network",
    "read_run": "mtlbench.records",
    "read_report": "mtlbench.report.frames",
    "check_method": "mtlbench.checks",
    "check_dataset": "mtlbench.checks",
    "check_kind": "mtlbench.checks",
    "estimate_cost": "mtlbench.deployed.cost",
}
__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    """Loads a public name's module when it is asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module 'mtlbench' has no attribute '{name}'")
    value = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
