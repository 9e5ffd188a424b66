"""Published settings (AdaShare's paper, section 4.1 and supplement, and its release) by data set and tasks.

Steps, batches, rates and the weights' optimiser belong to the whole study: `mtlbench/data/published.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

RELEASE: Mapping[str, Any] = {"objective": "release", "bn": "release", "search_optimizer": "sgd"}
EPOCHS: Mapping[str, Any] = {**RELEASE, "decay": 0.965, "logits_lr": 0.01, "turns": "epoch", "speed": 3.0}
FIXED: Mapping[str, Any] = {**EPOCHS, "turns": (400, 100), "speed": 1.0}
SHORT: Mapping[str, Any] = {"warmup": 4 / 40, "search": 16 / 40}  # 4,000 + 16,000 + 20,000 steps
LONG: Mapping[str, Any] = {"warmup": 20 / 130, "search": 80 / 130}  # 20,000 + 80,000 + 30,000 steps
ASSUMED: Mapping[str, Any] = SHORT  # DomainNet's steps are not published: NYUv2's


def _setting(*parts: Mapping[str, Any], sparsity: float, sharing: float) -> dict[str, Any]:
    both = {"lambda_sparsity": sparsity, "lambda_sharing": sharing}
    return {key: value for part in (*parts, both) for key, value in part.items()}


PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "nyuv2-2": _setting(SHORT, EPOCHS, sparsity=0.05, sharing=0.05),
    "nyuv2-3": _setting(SHORT, EPOCHS, sparsity=0.001, sharing=0.05),
    "cityscapes": _setting(SHORT, EPOCHS, sparsity=0.01, sharing=0.1),
    "taskonomy": _setting(LONG, FIXED, sparsity=0.001, sharing=0.005),
    # The study's Adam in the search too
    "domainnet": _setting(ASSUMED, FIXED, {"search_optimizer": None}, sparsity=0.01, sharing=0.1),
}
PROFILED: Mapping[str, tuple[str, str]] = {
    "nyuv2-2": ("resnet18", "10111111,11111011"),
    "nyuv2-3": ("resnet34", "1111110111111111,1111111110001111,1111101111001111"),
    "cityscapes": ("resnet34", "1111100101110111,1101111110111111"),
    "taskonomy": (
        "resnet34",
        "1111111111111111,1111101111110111,1111010111111111,1110111111111111,1111111110010111",
    ),
}
"""The policies whose cost the release reports: backbone, and one pattern a task (1: execute)."""


def published(dataset: str, tasks: Sequence[str]) -> Mapping[str, Any]:
    """The published options for a data set; empty where the paper has none."""
    if dataset == "nyuv2":
        return PUBLISHED["nyuv2-2" if len(tasks) < 3 else "nyuv2-3"]
    return PUBLISHED.get(dataset, {})
