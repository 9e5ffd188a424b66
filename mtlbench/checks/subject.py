"""The method under test: built on tiny parts, and trained by the harness's own loop under observation."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build
from mtlbench.checks.tiny import DENSE, HEAD, IMAGE, WIDTH, Tiny, tiny
from mtlbench.config import RunConfig, parse
from mtlbench.data.base import ALL, epoch_steps
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.method import Budget, Method, Phase
from mtlbench.tasks import Task
from mtlbench.training.loop import Hooks, Trainer
from mtlbench.training.optimisers import TurnOptimizer
from mtlbench.training.plan import Segment, declaring, make_plan, resolve_phases
from mtlbench.training.weighting import make_weighting

BATCH = 2
STEPS = 32
"""Of the run that most checks look at: enough for several rounds of alternating turns."""
SETTINGS = {"batch_size": BATCH, "lr": 5e-3, "weighting": "equal", "evaluations": 1}
PARTS = ("train", "train-a", "train-b")


@contextmanager
def double() -> Iterator[None]:
    """New tensors are float64, in the method's own code too."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


class Enough(Exception):
    """Ends a run early."""


class Watched(Trainer):
    """The harness's loop, which also notes every parameter's gradients, and what moved outside its turn."""

    def __init__(self, method: Method, *more: Any) -> None:
        super().__init__(method, *more)
        self.parameters = dict(method.named_parameters())  # as they are before training
        self.gradients = {n: torch.zeros_like(p, requires_grad=False) for n, p in self.parameters.items()}
        self.strayed: dict[str, tuple[int, Segment]] = {}

    def _step(self, segment: Segment, optimizer: TurnOptimizer, step: int) -> None:
        resting = {n: p for n, p in self.parameters.items() if n not in optimizer.moving}
        before = {n: p.detach().clone() for n, p in resting.items()}
        handle = optimizer.torch.register_step_pre_hook(self._note)
        super()._step(segment, optimizer, step)
        handle.remove()
        for name, value in before.items():
            if not torch.equal(resting[name], value):
                self.strayed.setdefault(name, (step, segment))

    def _note(self, *_: Any) -> None:
        for name, parameter in self.parameters.items():
            if parameter.grad is not None:
                self.gradients[name] += parameter.grad.abs()


T = TypeVar("T", bound=Trainer)


class Run(Generic[T]):
    """One training run of a method on a tiny data set, saved once inside a turn; `stop` cuts it short of its budget."""

    def __init__(
        self,
        loop: Callable[..., T],
        subject: Subject,
        dataset: Tiny,
        budget: int,
        seed: int = 0,
        stop: int | None = None,
        **build: Any,
    ) -> None:
        build = {"streams": tuple(dataset.streams), "shape": dataset.shape, **build}
        self.dataset, self._stop = dataset, stop
        self.losses: list[dict[str, float]] = []
        self.logged: list[Mapping[str, float]] = []
        self.log_error: Exception | None = None
        self.modes: list[str] = []  # modules that a validation left in another mode
        self.saved: dict[str, Any] | None = None
        names = tuple(t.name for t in dataset.tasks)
        config = RunConfig.model_validate(
            {"method": subject.kind.name, "tasks": names, "steps": budget, "seed": seed, **SETTINGS}
        )

        def make() -> Method:
            return subject.build(dataset.tasks, seed, dtype=dataset.dtype, **build)

        self.method = make()
        self.phases = subject.phases(self.method, dataset, budget)
        self._save_at = resume_point(self.phases)
        weighting = make_weighting("equal", dataset.tasks, {}).to(dataset.dtype)
        hooks = Hooks(self._log, self._validate, self._save)
        self.trainer = loop(
            self.method, weighting, dataset, config, self.phases, lambda: make().state_dict(), "cpu", hooks
        )

    def train(self) -> Run[T]:
        """Run, from the checkpoint that was restored if one was."""
        with double() if self.dataset.dtype == torch.float64 else nullcontext():
            try:
                self.trainer.run()
            except Enough:
                pass
        return self

    @property
    def trained(self) -> Method:
        """The method as it is deployed, in eval mode."""
        return self.method.eval()

    def _log(self, step: int, phase: str, losses: Mapping[str, float], rates: Mapping[str, float]) -> None:
        self.losses.append(dict(losses))
        try:
            self.logged.append(dict(self.method.log()))
        except Exception as error:  # declaring by the check of log(), not by all others
            self.log_error = error

    def _validate(self, step: int, phase: str, purpose: str) -> float:
        """What the runner does: evaluate what would be deployed now, and restore its mode."""
        before = {name: m.training for name, m in self.method.named_modules()}
        network = self.method.deployed()
        training = network.training
        network.eval()
        predict(network, self.method.build, self.dataset)
        network.train(training)
        self.modes += [name for name, m in self.method.named_modules() if m.training != before.get(name, m.training)]
        return 0.5

    def _save(self) -> None:
        step = self.trainer.state.step
        if step == self._save_at and self.saved is None:
            self.saved = copy.deepcopy(self.trainer.checkpoint())
        if self._stop is not None and step >= self._stop:
            raise Enough


class Subject:
    """A method's class with its options, and the run that several checks look at."""

    def __init__(self, method: str | type[Method], options: dict[str, Any], steps: int = STEPS) -> None:
        self._method, self._options, self.steps = method, options, steps

    @cached_property
    def kind(self) -> type[Method]:
        """The class."""
        kind = plugins.load("methods", self._method) if isinstance(self._method, str) else self._method
        return plugins.checked(kind, Method, "method", str(self._method))

    def file(self) -> Path | None:
        """Where the class is written; None while that is unknown."""
        if isinstance(self._method, str) and self._method.rpartition(":")[0].endswith(".py"):
            return Path(self._method.rpartition(":")[0]).resolve()
        try:
            return Path(inspect.getfile(self.kind)).resolve()
        except Exception:
            return None

    @cached_property
    def options(self) -> Any:
        """The parsed options."""
        return parse(self.kind.Options, dict(self._options), f"method '{self.kind.name}'")

    def build(
        self,
        tasks: Sequence[Task] = DENSE[:3],
        seed: int = 0,
        streams: Sequence[str] = (ALL,),
        shape: tuple[int, ...] = IMAGE,
        backbone: str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> Method:
        """A fresh instance."""
        maker = plugins.load("backbones", backbone) if backbone else tiny
        architecture = Architecture(backbone or "tiny", shape, WIDTH, HEAD)
        with double() if dtype == torch.float64 else nullcontext():
            return self.kind(self.options, Build(architecture, maker, seed, tuple(streams)), tuple(tasks)).to(dtype)

    def phases(self, method: Method, dataset: Tiny, budget: int, final: bool = False) -> tuple[Phase, ...]:
        """The method's phases, checked as the runner does."""
        epoch = {part: epoch_steps(dataset, part, BATCH) for part in PARTS}
        return resolve_phases(declaring(method), Budget(budget, epoch), final)

    def run(self, seed: int = 0) -> Run[Watched]:
        """A whole run in float64 on three dense tasks."""
        return Run(Watched, self, Tiny(dtype=torch.float64), self.steps, seed).train()

    @cached_property
    def trained(self) -> Run[Watched]:
        """The run that several checks look at."""
        return self.run()


def resume_point(phases: Sequence[Phase]) -> int:
    """A step inside the last round but one of the first phase that has several turns, or in the middle of the run."""
    plan = make_plan(phases)
    several = [s for s in plan if len(s.phase.turns) > 1 and s.steps > 1] or [s for s in plan if s.steps > 1]
    chosen = several[len(several) // 2] if several else plan[-1]
    return (chosen.start + chosen.end) // 2


def outputs(network: Callable[..., Any], x: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
    """One pass as the harness evaluates, in float64."""
    with double(), torch.inference_mode():
        return dict(network(x, tuple(names)))


def predict(
    network: nn.Module, build: Build, dataset: Tiny, streams: Sequence[str] | None = None, count: int = BATCH
) -> dict[str, Tensor]:
    """Outputs on the first test items of the given streams, of every stream by default; without gradients."""
    deployed = DeployedNetwork(network, build, dataset.tasks, dataset.streams, dataset.shape)
    with torch.no_grad():
        return deployed.answers({s: dataset.load("test", s, range(count)).inputs for s in streams or dataset.streams})
