"""The contract of a sharing strategy: what a method declares, and the harness executes. The one file its author reads.

A method is a network over parts that `build` makes (backbones, heads), and a description of how it wants to be trained:
phases of turns over parts of the training data. It owns no loop, no optimiser, no data and no device. About 30 lines:

    class Mine(Method):
        name = "mine"

        def __init__(self, options, build, tasks):
            super().__init__(options, build, tasks)
            self.backbone = build.backbone()
            self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})

        def forward(self, x, tasks):
            features = self.backbone(x)
            return {t: self.heads[t](features) for t in tasks}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from mtlbench.backbones import Build
from mtlbench.tasks import Task

Part = Literal["train", "train-a", "train-b"]


@dataclass(frozen=True)
class Budget:
    """What a run may spend: `steps` in all phases together, and the steps in one epoch of each part."""

    steps: int
    epoch: Mapping[str, int]


@dataclass(frozen=True)
class Optimizer:
    """Where a method differs from the study's optimiser; None is the study's value.

    `name` is "adamw", "adam" or "sgd"; `options` are torch's arguments for it (betas, momentum). `schedule` is
    "constant", "linear", "cosine" or "step:EVERY:FACTOR" (as a share of the turn's steps, or in steps from 1 up); it is a
    pure function of the turn's own step count.
    """

    name: str | None = None
    lr: float | None = None
    weight_decay: float | None = None
    options: Mapping[str, Any] | None = None
    schedule: str | None = None


@dataclass(frozen=True)
class Group:
    """The parameters under a module path (whole components: "units" is not "units2"); "" is whatever no group names."""

    prefix: str
    lr: float = 1.0  # times the optimiser's
    weight_decay: float | None = None


@dataclass(frozen=True)
class Turn:
    """Steps on one part of the data that move these groups; every other parameter is frozen.

    A batch norm none of whose parameters moves in the turn keeps its running statistics.
    """

    groups: tuple[Group, ...] = (Group(""),)
    part: Part = "train"
    steps: int | None = None  # None: the phase's
    optimizer: Optimizer = Optimizer()


@dataclass(frozen=True)
class Phase:
    """A stretch of training: turns repeated in order until `steps` are taken.

    `fresh` prefixes are reset to their initial values and the draws of data restart. A `scored` phase is validated at its
    end; only a `final` one may be deployed.
    """

    name: str
    steps: int
    turns: tuple[Turn, ...] = (Turn(),)
    fresh: tuple[str, ...] = ()
    scored: bool = False
    final: bool = False


@dataclass(frozen=True)
class Where:
    """Where training stands: the steps taken in all, the phase, its round of turns, and the turn in the round."""

    step: int = 0
    phase: str = ""
    round: int = 0
    turn: int = 0


@dataclass(frozen=True)
class Knob:
    """A range in which a tuning stage tries an option, as in `strength: Annotated[float, Knob(0.01, 1)] = 0.1`.

    Where it is `log`, factors are spread evenly, else differences.
    """

    low: float
    high: float
    log: bool = True

    def at(self, place: float) -> float:
        """The value at a place in (0, 1) of the range, to three digits."""
        spread = self.high / self.low if self.log else self.high - self.low
        return float(f"{self.low * spread**place if self.log else self.low + spread * place:.3g}")


class Options(BaseModel):
    """Base of a method's options: unknown names and wrong values are refused, defaults are part of the record."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def split_turns(value: Any) -> Any:
    """The steps of turns from text like "400,100", for an option that says them; anything else is left as it is."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) and "," in value else value


def positive_turns(value: Any) -> Any:
    """The steps of turns, each 1 to a million; ValueError, which a run's options turn into one line, for others."""
    if isinstance(value, tuple) and not 1 <= min(value) <= max(value) <= 10**6:
        raise ValueError("turns take 1 to 1,000,000 steps")
    return value


@dataclass
class Artefact:
    """Something a method wants kept beside its record: JSON data under a name (AdaShare's policy, say)."""

    name: str
    data: Any = field(default_factory=dict)


class Method(nn.Module):
    """A sharing strategy. Subclasses set `name` and write `forward`; everything else has a default.

    Parameters are created once and never replaced. Whatever changes during training is a tensor in `state_dict` or a
    function of `where` and `budget`, which the harness sets before every call and restores on resume.
    """

    name: ClassVar[str]
    Options: ClassVar[type[BaseModel]] = Options
    anchor: ClassVar[Literal["independent", "shared"] | None] = None
    """The two ends every comparison is made against: one network a task, and one backbone for all."""
    divisible: ClassVar[bool] = True
    """Whether a step may be divided among processes, a slice of the batch each: all images go through the same modules, and
    `loss` needs nothing of an image but its losses."""

    def __init__(self, options: Any, build: Build, tasks: Sequence[Task]) -> None:
        super().__init__()
        self.options = options
        self.build = build
        self.tasks = tuple(tasks)
        self.where = Where()
        self.budget = Budget(0, {})

    @classmethod
    def defaults(cls, preset: str, dataset: str, tasks: Sequence[str]) -> Mapping[str, Any]:
        """Options this method takes under a preset ("paper": the values its paper gives for the data set)."""
        return {}

    @classmethod
    def knobs(cls) -> Mapping[str, Knob]:
        """The options that are this method's own to tune, as their annotations say."""
        found = {name: [m for m in f.metadata if isinstance(m, Knob)] for name, f in cls.Options.model_fields.items()}
        return {name: knobs[0] for name, knobs in found.items() if knobs}

    @classmethod
    def follows(cls, options: Any) -> str | None:
        """The method whose run of the same seed must be finished before this one's starts; None: nobody's.

        A study runs that method first, then asks `completed` for the options that this run really has.
        """
        return None

    @classmethod
    def completed(cls, options: Any, artefacts: Mapping[str, Any]) -> Any:
        """`options` with what they take from the run followed; `artefacts` holds that run's artefacts by name."""
        return options

    def forward(self, x: Tensor, tasks: Sequence[str]) -> dict[str, Tensor]:
        """The named tasks' outputs for one input batch (B, *shape): (B, C, h, w) for dense tasks, (B, C) otherwise.

        Called once a stream where each task has inputs of its own. Computes nothing the named tasks do not need.
        """
        raise NotImplementedError

    def phases(self, budget: Budget) -> tuple[Phase, ...]:
        """How the budget is spent; a pure function of options and budget, asked for other budgets than `self.budget` too."""
        return (Phase("train", budget.steps, final=True),)

    def loss(self, losses: Mapping[str, Tensor]) -> Tensor:
        """The scalar to minimise, once a step after all streams; `losses[t]` is (B,), its weighted per-image losses.

        Penalties are added here.
        """
        total: Tensor = sum(loss.sum() for loss in losses.values())  # type: ignore[assignment]
        return total

    def start(self, phase: Phase, scores: Mapping[str, float]) -> None:
        """Called once at a phase's start, never on resume, seeded by (seed, phase); may change state tensors in place.

        `scores` holds the validation scores of the scored phases so far.
        """

    def deployed(self) -> nn.Module:
        """The network to ship: same call as `forward`, same output as the trained network's in eval; costs are its."""
        return self

    def log(self) -> Mapping[str, float]:
        """Quantities worth a curve (temperature, entropy); asked for at every log line."""
        return {}

    def artefacts(self) -> Sequence[Artefact]:
        """What to keep beside the record at the end of training."""
        return ()
