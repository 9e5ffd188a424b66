"""The lines of a record: what each says, as validated models. Writing and reading them is `mtlbench.records`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mtlbench.records.older import REDUCTIONS, VIEWS

SCHEMA = 1
FILE = "record.jsonl"

Metrics = dict[str, dict[str, float | None]]  # task -> metric -> value; None where nothing was labelled


class Line(BaseModel):
    """One line. Unknown keys are kept out: a newer writer may add some without a new schema version."""

    model_config = ConfigDict(extra="ignore")
    attempt: int = 1


class MetricInfo(BaseModel):
    """A column: `higher` is better or lower is; one metric of a task is `primary`; `counted` ones enter Delta.

    `reduction` says how it comes from sums over images (`mtlbench.tasks.reductions`); `best` is a perfect answer's value.
    """

    name: str
    unit: str
    higher: bool
    reduction: dict[str, Any] = {}
    primary: bool = False
    counted: bool = True
    best: float | None = None


class TaskInfo(BaseModel):
    """A task as the tables need it; `derived` labels were computed from another task's labels.

    `view` says how its answers are drawn.
    """

    name: str
    kind: str
    channels: int
    unit: str = ""
    classes: list[str] = []
    derived: bool = False
    view: str = ""
    metrics: list[MetricInfo]

    @model_validator(mode="after")
    def _upgraded(self) -> TaskInfo:
        """Records from before a kind wrote down its reductions and its view: both are known by the kind's name."""
        if self.kind in VIEWS and not any(m.reduction for m in self.metrics):
            self.view = self.view or VIEWS[self.kind]
            for metric in self.metrics:
                metric.reduction = REDUCTIONS[self.kind].get(metric.name, {})
        return self


class ReferenceInfo(BaseModel):
    """A published row with its source."""

    label: str
    source: str
    metrics: Metrics


class Followed(BaseModel):
    """The run of the same seed from which another takes options, as a random policy its number of skipped blocks.

    What was `taken` differs by seed and tells no rows apart; the `options` of the run followed do.
    """

    method: str
    options: dict[str, Any] = {}
    taken: list[str] = []


class Start(Line):
    """What was run: the whole resolved configuration, and everything a table says about it."""

    kind: Literal["start"] = "start"
    schema_version: int = SCHEMA
    time: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    method: str
    dataset: str
    seed: int
    role: Literal["study", "tune", "control"] = "study"
    anchor: Literal["independent", "shared"] | None = None
    control_of: str | None = None  # role "control": the method, as the study names it, whose training it is given
    control_kind: Literal["steps", "flops"] | None = None  # given its total steps, or its total training FLOPs
    follows: Followed | None = None  # whose run of the same seed completed its options
    trial: int | None = None  # of a tuning stage; 0 is the method as it stands
    config: dict[str, Any]
    tasks: list[TaskInfo]
    streams: dict[str, list[str]] = {}  # input stream -> the tasks it labels
    shape: list[int] = []  # of one input
    reference: list[ReferenceInfo] = []
    phases: list[dict[str, Any]] = []
    environment: dict[str, Any] = {}
    fingerprint: str = ""
    neighbours: bool | None = None  # whether neighbouring test images resemble each other; None: not recorded
    layout: str = ""
    command: str = ""


class Log(Line):
    """Training losses (means since the last log line), the method's own quantities, and learning rates.

    A rate is that of the last step of the turn that moves a group of parameters, by the group's prefix.
    """

    kind: Literal["log"] = "log"
    step: int
    phase: str
    losses: dict[str, float | None]
    values: dict[str, float | None] = {}
    rates: dict[str, float | None] = {}  # empty in older records


class Eval(Line):
    """A whole split evaluated. Purposes: "curve" while training, "phase" at a scored phase's end, "final" what is
    deployed, "constant" the constant predictor, "oracle" where the test split was used to choose, "rule" what another
    rule of selection (`rule`) would have deployed; its step is where that rule chose."""

    kind: Literal["eval"] = "eval"
    step: int
    phase: str = ""
    split: Literal["val", "test"]
    purpose: Literal["curve", "phase", "final", "constant", "oracle", "rule"]
    rule: str = ""
    metrics: Metrics
    losses: dict[str, float | None] = {}
    skill: dict[str, float | None] = {}
    score: float | None = None  # the mean skill
    gain: float | None = None  # the mean over tasks of the log of the relative gain on the primary metric: what chooses
    gain_error: float | None = None  # its standard error over the split's images


class Resume(Line):
    """The attempt went on from `step`: what it had written past that step does not count."""

    kind: Literal["resume"] = "resume"
    step: int
    note: str = ""  # what a reader of the numbers should know: a damaged checkpoint, other threads
    threads: int | None = None  # from here on


class Parameters(BaseModel):
    """Counts on the deployed network; `ratio` is backbone over one plain backbone (hard sharing's)."""

    backbone: int
    heads: int
    total: int
    ratio: float


class Macs(BaseModel):
    """Multiply-adds for one input at the study's size."""

    backbone: float
    heads: float
    total: float
    each: dict[str, float] = {}  # every task alone
    own_pass: float = 0.0  # every task in a pass of its own: the papers' figure
    backbone_own_pass: float = 0.0


class Latency(BaseModel):
    """Milliseconds for one input, all tasks: median and the quartiles around it."""

    median_ms: float
    low_ms: float
    high_ms: float
    repeats: int
    batch: int = 1
    threads: int = 1


class Cost(Line):
    """What the deployed network costs; `uncounted` operators ran but are not in the MACs."""

    kind: Literal["cost"] = "cost"
    parameters: Parameters
    macs: Macs
    flops: float
    uncounted: list[str] = []
    latency: Latency | None = None
    peak_memory: int | None = None  # bytes


class SideBySide(Line):
    """Latency measured after the runs, alone and in turns with the other networks of the same `session`.

    Milliseconds for one input, all tasks: the median and the quartiles around it. Comparable within a session only.
    """

    kind: Literal["latency"] = "latency"
    session: str
    time: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    processor: str = ""
    threads: int = 1
    batch: int = 1
    repeats: int = 0
    median_ms: float
    low_ms: float
    high_ms: float


class ArtefactLine(Line):
    """A file in the run's folder: a policy, a model, the test split's per-image statistics."""

    kind: Literal["artefact"] = "artefact"
    name: str
    path: str
    sha256: str = ""  # of its content; empty in older records


class End(Line):
    """How it ended. `timing` splits the seconds of training: forward, backward, optimizer, data, other."""

    kind: Literal["end"] = "end"
    status: Literal["finished", "failed", "diverged"]
    reason: str = ""
    step: int = 0
    deployed_step: int = 0
    selection: str = "last"
    seconds: float = 0.0
    processor_seconds: float | None = None  # of all cores together, whatever else the machine did
    device_memory: int | None = None  # the most bytes held at once on a GPU, of this attempt
    training_flops: float = 0.0
    timing: dict[str, float] = {}
    notes: dict[str, Any] = {}


AnyLine = Annotated[Start | Log | Eval | Resume | Cost | SideBySide | ArtefactLine | End, Field(discriminator="kind")]
