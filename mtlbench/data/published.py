"""What AdaShare's published experiments (Sun et al., NeurIPS 2020, and the authors' release) train with, whatever the method.

Under these presets single-task networks, hard sharing and AdaShare's retraining take the same steps with the same
optimiser: Adam (.5, .999) with weight decay 1e-4 and a rate that falls in steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

DENSE: Mapping[str, Any] = {"head": 1024, "dropout": 0.5}
"""The heads of the scene sets."""


def experiment(steps: int, lr: float, schedule: str, **more: Any) -> dict[str, Any]:
    """A published experiment as a preset: `steps` are the retraining's, and so every method's last phase."""
    common = {"backbone": "resnet34", "width": 1.0, "init": "normal", "batch_size": 16}
    adam = {"optimizer": "adam", "betas": (0.5, 0.999), "weight_decay": 1e-4, "warmup": 0.0}
    return {**common, **adam, "budget": "final", "steps": steps, "lr": lr, "schedule": schedule, **more}
