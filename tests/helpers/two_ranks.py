"""Short trainings in float64, by one process or a rank of several: `python -m tests.helpers.two_ranks FILE CASE ...`."""

from __future__ import annotations

import sys
from typing import Any

import torch

from adashare.method import AdaShare
from baselines.cross_stitch import CrossStitch
from baselines.hard_sharing import HardSharing
from mtlbench.backbones import Architecture, Build
from mtlbench.backbones.resnet import resnet18
from mtlbench.config import RunConfig
from mtlbench.data.base import Batch, DataOptions
from mtlbench.method import Budget
from mtlbench.training.loop import Hooks, Trainer
from mtlbench.training.plan import resolve_phases
from mtlbench.training.ranks import World, join
from mtlbench.training.weighting import make_weighting
from tests.helpers.toy import Toy, ToyDomains, ToyOptions

CASES: dict[str, tuple[Any, Any, str]] = {
    "hard-sharing": (HardSharing, Toy, "fixed"),
    "adashare": (AdaShare, Toy, "fixed"),
    "cross-stitch": (CrossStitch, Toy, "fixed"),
    "streams": (HardSharing, ToyDomains, "fixed"),
    "uncertainty": (HardSharing, Toy, "uncertainty"),
    "geometric": (HardSharing, Toy, "geometric"),
    "aggregated": (HardSharing, Toy, "mgda"),
}
STEPS = {"adashare": 12}
BATCH = 5  # slices of 2 and 3


class Watched(Trainer):
    """Remembers every step's gradients."""

    def __init__(self, *arguments: Any) -> None:
        self.seen: list[dict[str, torch.Tensor]] = []
        super().__init__(*arguments)

    def _backward(self, *arguments: Any) -> None:
        super()._backward(*arguments)
        known = self.method.named_parameters()
        self.seen.append({name: p.grad.clone() for name, p in known if p.grad is not None})


def doubled(kind: Any) -> Any:
    """A data set in float64, some of whose images lack some labels."""

    class Doubled(kind):
        def items(self, *asked: Any) -> Batch:
            return super().items(*asked).map(lambda x: x.double() if x.is_floating_point() else x)

        def augment(self, batch: Batch, random: torch.Generator) -> Batch:
            return super().augment(batch, random).map(lambda x: x.double() if x.is_floating_point() else x)

    return Doubled


def trained(case: str, world: World, readers: int = 0) -> dict[str, Any]:
    """The losses and gradients of every step, and all that is learned."""
    kind, data, weighting = CASES[case]
    steps = STEPS.get(case, 3)
    dataset = doubled(data)(ToyOptions(images=20, size=32) if data is Toy else DataOptions())
    names = tuple(t.name for t in dataset.tasks)
    config = RunConfig(
        method=kind.name, dataset=dataset.name, tasks=names, steps=steps, width=0.0625, head=4, batch_size=BATCH,
        evaluations=1, optimizer="sgd", lr=0.01, weighting=weighting,
    )  # fmt: skip
    architecture = Architecture("resnet18", dataset.shape, config.width, config.head)
    method = kind(kind.Options(), Build(architecture, resnet18, 0, tuple(dataset.streams)), dataset.tasks).double()

    def declare(budget: Budget) -> Any:
        method.budget = budget
        return method.phases(budget)

    phases = resolve_phases(declare, Budget(steps, {"train": 4, "train-a": 3, "train-b": 1}), False)
    losses: list[dict[str, float]] = []
    hooks = Hooks(lambda step, phase, mean, rates: losses.append(dict(mean)), lambda *_: 0.0, lambda: None)
    initial = {k: v.clone() for k, v in method.state_dict().items()}
    made = make_weighting(weighting, dataset.tasks, {}).double()
    trainer = Watched(method, made, dataset, config, phases, lambda: initial, "cpu", hooks, None, world, readers)
    trainer.run()
    state = {**method.state_dict(), **{f"weighting.{k}": v for k, v in made.state_dict().items()}}
    phase_names = [p.name for p in phases if p.steps]
    return {
        "losses": losses,
        "gradients": trainer.seen,
        "state": state,
        "flops": trainer.state.flops,
        "phases": phase_names,
    }


def main() -> None:
    """The rank that the environment says; the first one writes what came of all cases."""
    torch.set_num_threads(1)
    file, *cases = sys.argv[1:]
    world = join("cpu")
    found = {case: trained(case, world) for case in cases}
    if world.first:
        torch.save(found, file)


if __name__ == "__main__":
    main()
