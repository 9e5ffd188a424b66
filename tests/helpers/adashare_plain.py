"""The plain form of AdaShare's execution, for comparison: one pass a task, every block computed and masked.

x_{l+1} = v ReLU(S(x) + F(x)) + (1 - v) S(x), with v 0 or 1 for a decided policy. A batch norm's running statistics move
only for an input it has not seen in this step, and not at all in a branch that is masked out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@contextmanager
def statistics_at_rest(module: nn.Module):
    """Batch statistics are used where training says so, but the running ones stay."""
    norms = [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    counts = [norm.num_batches_tracked.clone() for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum, count in zip(norms, momenta, counts, strict=True):
            norm.momentum = momentum
            norm.num_batches_tracked.copy_(count)


class Seen:
    """The inputs that a branch has been run on in this step."""

    def __init__(self) -> None:
        self.inputs: list[Tensor] = []

    def new(self, x: Tensor) -> bool:
        if any(torch.equal(x, other) for other in self.inputs):
            return False
        self.inputs.append(x.detach().clone())
        return True


def run(branch: Callable[[Tensor], Tensor], module: nn.Module, x: Tensor, update: bool) -> Tensor:
    with nullcontext() if update else statistics_at_rest(module):
        return branch(x)


def plain(
    stem: nn.Module,
    blocks: Sequence[nn.Module],
    x: Tensor,
    policy: Mapping[str, Sequence[float | Tensor]],
    track: bool = True,
) -> dict[str, Tensor]:
    """Each task's last features; `policy[t][l]` is v. `track=False` leaves out the care for running statistics."""
    shortcuts, residuals, out = [Seen() for _ in blocks], [Seen() for _ in blocks], {}
    for number, (task, row) in enumerate(policy.items()):
        features = run(stem, stem, x, not track or number == 0)
        for index, (block, v) in enumerate(zip(blocks, row, strict=True)):
            executes = isinstance(v, Tensor) or v != 0
            first = not track or shortcuts[index].new(features)
            short = run(block.shortcut, block, features, first)
            move = not track or (executes and residuals[index].new(features))
            full = F.relu(short + run(block.residual, block, features, move))
            features = v * full + (1 - v) * short
        out[task] = features
    return out
