"""Aggregators of the tasks' gradients, torchjd's own (the extra `mtlbench[torchjd]`), for every method.

They act on the parameters that the losses of at least two tasks reach, which are found in every step and not declared.
What one task alone reaches gets that task's gradient, and a method's penalties are added as they are. Turns that train no
heads (AdaShare's logits, DEN's selector) are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from mtlbench.errors import ConfigError
from mtlbench.tasks import Task
from mtlbench.training.weighting import Weighting

Gradients = list[Tensor | None]


class Aggregated(Weighting):
    """The base: `aggregator` is a class of `torchjd.aggregation`, made with `options`."""

    aggregator: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, tasks: Sequence[Task], weights: Mapping[str, float]) -> None:
        super().__init__(tasks, weights)
        try:
            from torchjd import aggregation

            self.made = getattr(aggregation, self.aggregator)(**self.made_with(len(tasks)))
        except ImportError as error:
            wanted = "install mtlbench[torchjd]"
            raise ConfigError(
                f"--weighting {self.name} needs a package that is not here ({wanted}): {error}"
            ) from error

    def made_with(self, tasks: int) -> Mapping[str, Any]:
        """The arguments of the aggregator."""
        return self.options

    def backward(
        self, total: Tensor, losses: Mapping[str, Tensor], parameters: Sequence[Tensor], penalised: bool
    ) -> None:
        each = [own.sum() for own in losses.values()]
        rows = [self._found(own, parameters) for own in each]
        rest = self._found(total - torch.stack(each).sum(), parameters) if penalised else [None] * len(parameters)
        shared = [i for i in range(len(parameters)) if sum(row[i] is not None for row in rows) > 1]
        joined = dict(zip(shared, self._joined(rows, [parameters[i] for i in shared], shared), strict=True))
        for index, parameter in enumerate(parameters):
            own = next((row[index] for row in rows if row[index] is not None), None)
            found = [g for g in (joined.get(index, own), rest[index]) if g is not None]
            parameter.grad = torch.stack(found).sum(0) if len(found) > 1 else found[0] if found else None

    def _found(self, loss: Tensor, parameters: Sequence[Tensor]) -> Gradients:
        """The gradient of every parameter that the loss reaches, over all processes of a run."""
        own = _gradients(loss, parameters)
        means = iter(self.over_ranks([g for g in own if g is not None]))
        return [None if g is None else next(means) for g in own]

    def _joined(self, rows: Sequence[Gradients], parameters: Sequence[Tensor], shared: Sequence[int]) -> list[Tensor]:
        """The aggregated gradient of the shared parameters, from the Jacobian (T, n) of the tasks' losses."""
        if not shared:
            return []
        places = list(zip(parameters, shared, strict=True))
        jacobian = torch.stack([torch.cat([_flat(row[i], p) for p, i in places]) for row in rows])
        if hasattr(self.made, "reset"):
            self.made.reset()  # nothing but what stands in a checkpoint goes from step to step
        # what is not finite is found after the step, as with any weighting
        whole = self.made(jacobian) if bool(jacobian.isfinite().all()) else jacobian.sum(0)
        parts = whole.split([p.numel() for p in parameters])
        return [part.view_as(p) for part, p in zip(parts, parameters, strict=True)]


def _flat(gradient: Tensor | None, parameter: Tensor) -> Tensor:
    """A gradient as a vector: zeros where a task does not reach the parameter."""
    return torch.zeros_like(parameter).flatten() if gradient is None else gradient.flatten()


def _gradients(loss: Tensor, parameters: Sequence[Tensor]) -> Gradients:
    """The gradient of every parameter that the loss reaches."""
    if not loss.requires_grad:
        return [None] * len(parameters)
    return list(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True))


class UPGrad(Aggregated):
    """The mean of the tasks' gradients, each projected onto the cone that hurts no task (Quinton and Rey 2024)."""

    name, aggregator = "upgrad", "UPGrad"


class PCGrad(Aggregated):
    """Every task's gradient without its parts against the others' (Yu et al., NeurIPS 2020)."""

    name, aggregator = "pcgrad", "PCGrad"


class MGDA(Aggregated):
    """The shortest convex combination of the gradients (Sener and Koltun, NeurIPS 2018)."""

    name, aggregator = "mgda", "MGDA"


class CAGrad(Aggregated):
    """The best worst improvement near the mean gradient, c = .4 (Liu et al., NeurIPS 2021)."""

    name, aggregator, options = "cagrad", "CAGrad", {"c": 0.4}


class IMTLG(Aggregated):
    """The combination with equal projections onto every gradient (Liu et al., ICLR 2021)."""

    name, aggregator = "imtl-g", "IMTLG"


class NashMTL(Aggregated):
    """The Nash bargaining solution (Navon et al., ICML 2022)."""

    name, aggregator = "nash-mtl", "NashMTL"

    def made_with(self, tasks: int) -> Mapping[str, Any]:
        return {"n_tasks": tasks}


class AlignedMTL(Aggregated):
    """The gradients' principal components at one length (Senushkin et al., CVPR 2023)."""

    name, aggregator = "aligned-mtl", "AlignedMTL"
