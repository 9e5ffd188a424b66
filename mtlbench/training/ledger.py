"""The losses of the steps since the last log line: looked at where that costs the device no wait, and all of them once."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from mtlbench.errors import Diverged
from mtlbench.training.state import State

PENDING = 16  # steps between looks at the losses where the device runs ahead of Python


class Ledger:
    """Adds up losses in the training's state."""

    def __init__(self, every: int) -> None:
        self._every = every
        self._pending: list[tuple[int, Mapping[str, Tensor]]] = []

    def add(self, state: State, step: int, losses: Mapping[str, Tensor]) -> None:
        """The losses of a step, "total" among them."""
        self._pending.append((step, losses))
        if len(self._pending) >= self._every:
            self.look(state)

    def look(self, state: State) -> None:
        """Read the losses of the steps since the last look; one that is not finite ends the run (Diverged)."""
        for step, losses in self._pending:
            values = {name: float(loss) for name, loss in losses.items()}
            bad = [name for name, value in values.items() if not math.isfinite(value)]
            if bad:
                self._pending = []
                names = [n for n in bad if n != "total"] or ["the method (its penalty)"]
                raise Diverged("loss", names, f"at step {step}")
            for name, value in values.items():
                state.sums[name] = state.sums.get(name, 0.0) + value
            state.since += 1
        self._pending = []

    def means(self, state: State) -> dict[str, float]:
        """Mean losses since the last time this was asked for."""
        self.look(state)
        means = {name: total / state.since for name, total in state.sums.items()}
        state.sums, state.since = {}, 0
        return means
