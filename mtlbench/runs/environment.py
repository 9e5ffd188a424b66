"""Where a run took place: versions, machine, commit. Nothing here names a path or a user."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mtlbench.machine import processor

PACKAGES = ("mtlbench", "torch", "torchvision", "numpy")


def describe(device: str, threads: int, ranks: int = 1) -> dict[str, Any]:
    """Versions, processor, device name, threads, ranks where there are several, and the project's commit, as JSON data."""
    return {
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        **_device(device),
        "threads": threads,
        **({"ranks": ranks} if ranks > 1 else {}),
        "commit": commit(),
    }


@cache
def commit() -> str | None:
    """The commit of the checkout this package runs from, with "+" behind it where files differ; None outside one.

    Looked up once, when the harness is loaded: later commits are not what runs.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        head = _git(root, "rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no", "--", "*.py") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _device(device: str) -> dict[str, Any]:
    """Its name; of a GPU also what rounds differently there: whether products and convolutions may use TF32, and layout."""
    if not device.startswith("cuda"):
        return {"device": device}
    import torch

    return {
        "device": str(torch.cuda.get_device_name(device)),
        "tf32": {
            "products": torch.backends.cuda.matmul.allow_tf32,
            "convolutions": torch.backends.cudnn.allow_tf32,
        },
        "memory_format": "channels_last",
    }
