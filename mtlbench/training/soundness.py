"""Whether everything a network holds is a number: its parameters, and its buffers (a batch norm's statistics, say)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor, nn


class Soundness:
    """Looks at modules, named by prefixes, as they were when it was made and as they are.

    A tensor that holds an infinity from the beginning (a score that nobody has set) may keep infinities, but no NaN.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self._modules = modules
        self._endless = {name for name, value in self._tensors() if bool(value.isinf().any())}

    def faults(self) -> list[str]:
        """The names of all parameters and buffers that are not finite."""
        return [name for name, value in self._tensors() if not self._is_sound(name, value)]

    def _is_sound(self, name: str, value: Tensor) -> bool:
        return not bool(value.isnan().any()) if name in self._endless else bool(value.isfinite().all())

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, module in self._modules.items():
            for name, value in module.state_dict().items():
                if value.is_floating_point():
                    yield prefix + name, value
