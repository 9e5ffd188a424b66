"""Published settings (AdaShare's paper, section 4.1 and supplement, and its release) by data set and tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

SEARCH: Mapping[str, Any] = {"decay": 0.965, "logits_lr": 0.01, "turns": "epoch", "speed": 3.0}
FIXED: Mapping[str, Any] = {**SEARCH, "turns": (400, 100), "speed": 1.0}
SHORT: Mapping[str, Any] = {
    "warmup": 4 / 40,
    "search": 16 / 40,
}  # 20k of search, 4k of them warm-up, and 20k of retraining
LONG: Mapping[str, Any] = {"warmup": 20 / 130, "search": 80 / 130}  # 100k of search, 20k of them warm-up, and 30k


def _setting(
    shares: Mapping[str, Any], search: Mapping[str, Any], sparsity: float, share: float, **rates: float
) -> dict[str, Any]:
    return {**shares, **search, "lambda_sparsity": sparsity, "lambda_sharing": share, "published": rates}


PUBLISHED: Mapping[str, Mapping[str, Any]] = {
    "nyuv2-2": _setting(SHORT, SEARCH, 0.05, 0.05, head_lr=1e-3, backbone_lr=1e-3),
    "nyuv2-3": _setting(SHORT, SEARCH, 0.001, 0.05, head_lr=1e-3, backbone_lr=1e-3),
    "cityscapes": _setting(SHORT, SEARCH, 0.01, 0.1, head_lr=1e-4, backbone_lr=1e-3),
    "taskonomy": _setting(LONG, FIXED, 0.001, 0.005, head_lr=1e-4, backbone_lr=1e-4, every=12000, factor=0.3),
    "domainnet": _setting(SHORT, FIXED, 0.01, 0.1, head_lr=1e-3, backbone_lr=1e-5, every=2000, factor=0.3),
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
