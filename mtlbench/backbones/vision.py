"""torchvision, importable beside a CPU-only torch as well.

torchvision's Linux wheel is built against CUDA torch. Beside a CPU-only torch its C++ library cannot load, and its import
fails because it registers fake kernels for operators that nobody declared. We use none of those operators, so declaring
their schemas, only where they are missing, is enough. Import torchvision (and whatever imports it) through this module.
"""

from __future__ import annotations

import torch

_SCHEMAS = {
    "nms": "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms": "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
}


def _missing() -> list[str]:
    import importlib.util
    from pathlib import Path

    # Loading the library first is what torchvision does itself; it declares the operators where it can.
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return []
    for library in Path(spec.origin).parent.glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            pass
    return [name for name in _SCHEMAS if not hasattr(torch.ops.torchvision, name)]


# The library object must live as long as the process: its schemas go with it.
_LIBRARY = torch.library.Library("torchvision", "FRAGMENT")
for _name in _missing():
    _LIBRARY.define(_SCHEMAS[_name])

import torchvision  # noqa: E402

__all__ = ["torchvision"]
