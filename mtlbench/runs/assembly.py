"""From a request to the parts of a run: data set, method, build, phases, and the folder that all of these name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from mtlbench import plugins, records
from mtlbench.backbones import Architecture, Build
from mtlbench.backbones.build import pretrained_weights
from mtlbench.config import parse
from mtlbench.data.base import Dataset, epoch_steps, module_name
from mtlbench.errors import DataError, PluginError
from mtlbench.method import Budget, Method, Phase
from mtlbench.runs import environment
from mtlbench.runs.request import Request
from mtlbench.training.compute import Account, Estimate
from mtlbench.training.plan import declaring, resolve_phases
from mtlbench.training.weighting import Weighting, make_weighting

PARTS = ("train", "train-a", "train-b")


@lru_cache(maxsize=4)
def _dataset(spec: str, options: str, root: str | None, tasks: tuple[str, ...] | None) -> Dataset:
    kind = dataset_class(spec)
    parsed = parse(kind.Options, json.loads(options), f"data set '{kind.name}'")
    opened = kind(parsed, Path(root) if root else None, tasks)
    for task in opened.tasks:
        if (fit := module_name(task.name)) != task.name:
            raise PluginError(
                f"data set '{spec}' has a task '{task.name}', which no network can name (allowed: '{fit}', say)"
            )
    for part in ("train", "val", "test"):
        _filled(opened, part)
    return opened


def dataset_class(spec: str) -> type[Dataset]:
    """The data set class behind a spec."""
    kind = plugins.load("datasets", spec)
    return plugins.checked(kind, Dataset, "data set", spec)  # type: ignore[type-abstract]


def open_dataset(spec: str, options: Mapping[str, Any], data_dir: str | None, tasks: Sequence[str] | None) -> Dataset:
    """The data set behind a spec, with these options and tasks; kept for the process."""
    return _dataset(spec, json.dumps(options, sort_keys=True), data_dir, None if tasks is None else tuple(tasks))


def open_method(spec: str) -> type[Method]:
    """The method class behind a spec."""
    kind = plugins.load("methods", spec)
    return plugins.checked(kind, Method, "method", spec)


class Assembly:
    """What a request is made of, built on demand."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.config = request.config
        self.dataset = open_dataset(request.dataset, self.config.data, request.data_dir, self.config.tasks)

    @cached_property
    def kind(self) -> type[Method]:
        """The method's class."""
        return open_method(self.request.method)

    @property
    def anchor(self) -> Literal["independent", "shared"] | None:
        """The method's `anchor`; None for a class that cannot be loaded either: that run fails, and its record says so."""
        try:
            return self.kind.anchor
        except PluginError:
            return None

    @cached_property
    def identity(self) -> tuple[str | None, ...]:
        """What decides the numbers beside the configuration: plugins' sources, the data, the kind of device.

        And whom a run stands for: a control whose training it is given, a run that follows another whose settings.
        """
        sources = (plugins.source_hash(self.request.method), plugins.source_hash(self.request.dataset))
        backbone = plugins.source_hash(self.config.backbone)
        shapes = () if backbone is None else (backbone,)  # runs of registered ones keep their name
        kinds = sorted({hash_ for t in self.dataset.tasks if (hash_ := plugins.source_hash(t.origin))})
        of, by = self.request.control_of, self.request.control_kind
        control = () if of is None else (f"control of {of} by {by}",)
        weighting = plugins.source_hash(self.request.weighting or "")
        ranks = [f"{self.request.ranks} ranks"] if self.config.local_norm and self.request.ranks > 1 else []
        follows = [] if (f := self.request.follows) is None else [json.dumps([f.method, f.options], sort_keys=True)]
        control = (*control, *([] if weighting is None else [f"weighting {weighting}"]), *ranks, *follows)
        return (*sources, *shapes, *kinds, self.dataset.fingerprint, self.request.device.split(":")[0], *control)

    @cached_property
    def folder(self) -> Path:
        """Where the record lies."""
        return Path(self.request.out) / "records" / self.config.folder(*self.identity)

    @cached_property
    def maker(self) -> Any:
        """The backbone's maker."""
        return plugins.load("backbones", self.config.backbone)

    @cached_property
    def _weights(self) -> tuple[Mapping[str, Tensor] | None, str]:
        if self.config.pretrained is None:
            return None, ""
        return pretrained_weights(self.config.backbone, self.request.weights)

    def build(self) -> Build:
        """A fresh maker of parts."""
        c = self.config
        architecture = Architecture(c.backbone, self.dataset.shape, c.width, c.head, c.dropout, c.init, c.batchnorm)
        return Build(architecture, self.maker, c.seed, tuple(self.dataset.streams), *self._weights)

    @property
    def weights(self) -> Mapping[str, float]:
        """The fixed weights of the tasks' losses: the data set's, and over them the configuration's."""
        return {**self.dataset.weights, **self.config.weights}

    def weighting(self) -> Weighting:
        """The weighting of the tasks' losses, as training starts."""
        return make_weighting(self.request.weighting or self.config.weighting, self.dataset.tasks, self.weights)

    @property
    def options(self) -> Any:
        """The method's options."""
        return parse(self.kind.Options, dict(self.config.options), f"method '{self.config.method}'")

    @property
    def incomplete(self) -> str | None:
        """The method whose run this one's options still wait for; a trial waits for nobody."""
        return None if self.config.role == "tune" else self.kind.follows(self.options)

    def method(self) -> Method:
        """The method at its initial weights, the same every time."""
        return self.kind(self.options, self.build(), self.dataset.tasks)

    def account(self, method: Method) -> Account | None:
        """The training FLOPs that a method may spend, where the budget counts those."""
        if self.config.budget != "compute":
            return None
        estimate = Estimate(method, self.dataset, self.config.batch_size, self.config.seed)
        return Account.like_plain(self.config.steps, estimate)

    def phases(self, method: Method, account: Account | None = None) -> tuple[Phase, ...]:
        """The method's phases under the budget; under one of FLOPs the steps of final phases are settled in training."""
        epoch = {p: epoch_steps(self.dataset, p, self.config.batch_size) for p in PARTS}
        budget = Budget(self.config.steps, epoch)
        if account is not None:
            phases = account.phases(declaring(method), budget)
        else:
            phases = resolve_phases(declaring(method), budget, self.config.budget == "final")
        for part in sorted({turn.part for phase in phases for turn in phase.turns}):
            _filled(self.dataset, part)
        return phases


def _filled(dataset: Dataset, part: str) -> None:
    """DataError where a part that is trained or evaluated on has no item: found before training, not after."""
    for stream in dataset.streams:
        if not len(dataset.indices(part, stream)):
            items = f"{dataset.size('train', stream)} training and {dataset.size('test', stream)} test items"
            enough = "2 training items, 3 for a method that trains on two shares of them, and 1 test item"
            raise DataError(f"'{part}' of '{stream}' would be empty: {items} (allowed: at least {enough})")


def start_line(parts: Assembly, phases: tuple[Phase, ...]) -> records.Start:
    """What a record says first: everything about the run that is known before it."""
    config, dataset, request = parts.config, parts.dataset, parts.request
    return records.Start(
        method=config.method,
        dataset=config.dataset,
        seed=config.seed,
        role=config.role,
        anchor=parts.anchor,
        control_of=request.control_of,
        control_kind=request.control_kind,
        follows=request.follows,
        trial=request.trial,
        config=config.model_dump(mode="json"),
        tasks=[
            records.TaskInfo(
                name=t.name,
                kind=t.kind,
                channels=t.channels,
                unit=t.unit,
                classes=list(t.classes),
                derived=t.derived,
                view=t.meaning.view,
                metrics=[records.MetricInfo(**m.data()) for m in t.metrics],
            )
            for t in dataset.tasks
        ],
        streams={s: list(tasks) for s, tasks in dataset.streams.items()},
        shape=list(dataset.shape),
        reference=[
            records.ReferenceInfo(label=r.label, source=r.source, metrics={t: dict(m) for t, m in r.metrics.items()})
            for r in dataset.references
        ],
        phases=[asdict(p) for p in phases],
        environment=environment.describe(request.device, request.threads, request.ranks),
        fingerprint=dataset.fingerprint,
        neighbours=dataset.neighbours,
        layout=dataset.layout,
        command=request.command,
    )
