"""What lies in a folder: `mtlbench data check DIR` reads all of it and says what it found, damaged files included."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from mtlbench.data import domains, taskonomy, text
from mtlbench.data.base import ALL
from mtlbench.data.disk import cityscapes_layouts, nyuv2_layouts
from mtlbench.data.disk.cache import Column
from mtlbench.data.disk.dense import absences
from mtlbench.data.disk.files import folder
from mtlbench.data.disk.folders import SIGNS, below, domain_folders, found, left_out, signs
from mtlbench.data.disk.source import Source
from mtlbench.data.disk.stored import INPUT, Key, combine
from mtlbench.errors import DataError
from mtlbench.tasks import Task
from mtlbench.tasks.losses import labelled

SHOWN = 20  # problems printed; all are counted
BATCH = 16
_EXPECTED = {
    "nyuv2": nyuv2_layouts.EXPECTED,
    "cityscapes": cityscapes_layouts.EXPECTED,
    "taskonomy": taskonomy.EXPECTED,
    "domains": domains.EXPECTED,
    "fdu-mtl": text.FDU,
    "text": text.CSV,
}


@dataclass
class Report:
    """A folder's data set and layout, items a split, what was measured of every field, its fingerprint, and problems."""

    path: Path
    dataset: str
    layout: str = "unknown"
    counts: dict[str, dict[str, int]] = field(default_factory=dict)  # stream -> split -> items
    findings: dict[str, str] = field(default_factory=dict)
    masked: dict[str, str] = field(default_factory=dict)  # task -> labels that are none, of how many
    took: int = 0  # files
    left: tuple[int, list[str]] = (0, [])  # files that are no part of it, and what they are
    others: list[str] = field(default_factory=list)  # what else the folder could be
    fingerprint: str | None = None
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The report as it is printed."""
        rows = {"folder": str(self.path), "data set": f"{self.dataset}, layout {self.layout}"}
        rows |= {f"items {'' if stream == ALL else stream}".strip(): _counted(n) for stream, n in self.counts.items()}
        rows |= self.findings
        rows |= {"masked": ", ".join(f"{task} {count}" for task, count in self.masked.items()) or "nothing"}
        if self.layout != "unknown":
            rows |= {"took": f"{self.took} files", "left out": f"{self.left[0]} files{_listed(self.left[1])}"}
        rows |= {"could also be": ", ".join(self.others)} if self.others else {}
        rows |= {"fingerprint": self.fingerprint or "none: damaged", "problems": str(len(self.problems) or "none")}
        width = max(map(len, rows)) + 2
        said = [f"{name:<{width}}{value}" for name, value in rows.items()]
        said += [f"  {problem}" for problem in self.problems[:SHOWN]]
        hidden = len(self.problems) - SHOWN
        return [*said, f"  and {hidden} more"] if hidden > 0 else said


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{split} {count}" for split, count in counts.items())


def _listed(kinds: Sequence[str]) -> str:
    return f": {', '.join(kinds)}" if kinds else ""


def check(path: Path) -> Report:
    """Read the data set in a folder, every file of it. DataError where there is no folder or nothing is recognised."""
    root = folder(path, "data", "a data set in one of its layouts")
    known = detect(root)
    report = Report(root, known[0], others=known[1:])
    try:
        report.layout, tasks, columns = _open(root, report.dataset)
    except DataError as error:
        report.problems.append(str(error))
        return report
    taken = {path for column in columns.values() for path in column.sources}
    taken |= {path for pattern in SIGNS[report.dataset] for path in found(root, pattern)}
    report.took, report.left = sum(map(os.path.isfile, taken)), left_out(root, taken)
    _read(report, tasks, columns)
    return report


def detect(root: Path) -> list[str]:
    """The data sets that a folder's names point to, the one that is meant first."""
    if known := signs(root, tree=False):
        return known
    if sets := below(root):
        raise DataError(
            f"'{root}': holds data sets in its folders: {', '.join(sets[:5])} (expected: one of those folders)"
        )
    if domain_folders(root):
        return ["domains"]
    layouts = "; ".join(f"{name}: {expected}" for name, expected in _EXPECTED.items())
    raise DataError(f"'{root}': no data set recognised (expected: {layouts})")


def _open(root: Path, dataset: str) -> tuple[str, tuple[Task, ...], Mapping[Key, Column]]:
    """Layout, tasks and columns, under the data set's default options."""
    if dataset == "nyuv2":
        return _dense(nyuv2_layouts.recognise(root, None, None))
    if dataset == "cityscapes":
        return _dense(cityscapes_layouts.recognise(root, None, 256))
    if dataset == "taskonomy":
        return _dense(taskonomy.recognise(root))
    if dataset == "domains":
        layout, names, classes, read = domains.recognise(root)
        size = domains.DomainOptions().size
        columns = {key: c for name in names for key, c in domains.domain_columns(name, read[name], size).items()}
        return layout, tuple(Task(n, "classification", len(classes), classes=classes) for n in names), columns
    layout, corpora = (text.FduMtl if dataset == "fdu-mtl" else text.TextFolders).corpora(root)
    return layout, *text.survey(corpora, text.TextOptions().length)


def _dense(source: Source) -> tuple[str, tuple[Task, ...], Mapping[Key, Column]]:
    columns = {(split, ALL, name): column for (split, name), column in source.columns.items()}
    return f"{source.layout}, {source.size[0]}x{source.size[1]}", source.tasks, columns


def _read(report: Report, tasks: Sequence[Task], columns: Mapping[Key, Column]) -> None:
    def collect(error: DataError) -> None:
        report.problems.append(str(error))

    known = {task.name: task for task in tasks}
    fingerprints: dict[str, str] = {}
    tallies: dict[str, Tally] = {}
    for key, column in columns.items():
        split, stream, name = key
        if name == INPUT:
            report.counts.setdefault(stream, {})[split] = column.count
        tally = tallies.setdefault(name if name in known else f"{INPUT}s", Tally(known.get(name)))
        digest = column.digest()
        batch: list[np.ndarray] = []
        try:
            for row in column.tolerant(collect) if column.tolerant else column.rows():
                digest.update(row.tobytes())
                batch.append(row)
                if len(batch) == BATCH:
                    tally.add(column, batch)
            tally.add(column, batch)
        except DataError as error:
            collect(error)
        fingerprints["/".join(key)] = digest.hexdigest()
    report.findings = {name: tally.describe() for name, tally in tallies.items()}
    report.masked = {name: masked for name, tally in tallies.items() if (masked := tally.masked())}
    if not report.problems:
        report.fingerprint = combine(fingerprints)
    bare = [name for name, tally in tallies.items() if tally.task and tally.items and not tally.labelled]
    report.problems += [f"'{name}' has no label in any item (expected: labels for some)" for name in bare]
    # After what is damaged: an image may lack a label's file where that is allowed, and the data are sound then.
    for (split, _, name), column in columns.items():
        report.problems += map(str, absences(column, split, name, report.dataset))


class Tally:
    """What is measured of a field while it streams past: classes, share unlabelled, range and mean."""

    def __init__(self, task: Task | None) -> None:
        self.task = task
        self.elements = 0
        self.labelled = 0
        self.items = self.without = 0  # images, and those without any label
        self.low, self.high, self.sum = np.inf, -np.inf, torch.zeros(1, dtype=torch.float64)
        self.classes: np.ndarray | None = None

    def add(self, column: Column, rows: list[np.ndarray]) -> None:
        """Take in a batch of stored rows, and empty it."""
        if not rows:
            return
        stored = np.stack(rows)
        rows.clear()
        self.items += len(stored)
        if self.task is None:
            self._values(torch.from_numpy(stored).reshape(-1, 1))
            return
        target = column.unpack(stored)
        mask = labelled(self.task, target)
        self.elements += mask.numel()
        self.labelled += int(mask.sum())
        self.without += int((~mask.reshape(len(mask), -1).any(1)).sum())
        if self.task.meaning.integers:
            found = torch.bincount(target[mask].long(), minlength=self.task.channels).numpy()
            self.classes = found if self.classes is None else self.classes + found
        else:
            self._values(target.movedim(1, -1)[mask])

    def _values(self, values: torch.Tensor) -> None:  # (elements, channels)
        if values.numel():
            self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
            self.sum = self.sum + values.double().sum(0)

    def masked(self) -> str:
        """How many labels are none, of how many; empty where all are some."""
        return f"{self.elements - self.labelled} of {self.elements}" if self.elements > self.labelled else ""

    def describe(self) -> str:
        """One line."""
        if not self.items:
            return "nothing that can be read"
        if self.task is None:
            return f"stored values {self.low:g} to {self.high:g}"
        share = 100 * (1 - self.labelled / max(self.elements, 1))
        derived = " (derived from depth)" if self.task.derived else ""
        said = f"{self.task.kind}{derived}, {share:.2f} % unlabelled"
        if not self.labelled:
            return f"{self.task.kind}{derived}, no label in any of {self.items} items"
        said += f" ({self.without} of {self.items} items wholly)" if self.without else ""
        if self.classes is not None:
            present = int((self.classes > 0).sum())
            common = int(self.classes.argmax())
            top = 100 * self.classes.max() / max(self.classes.sum(), 1)
            return f"{said}, {present} of {self.task.channels} classes occur, most often {common} ({top:.1f} %)"
        mean = ", ".join(f"{m:.4g}" for m in (self.sum / max(self.labelled, 1)).tolist())
        unit = f" {self.task.unit}" if self.task.unit else ""
        return f"{said}, {self.low:.4g} to {self.high:.4g}{unit}, mean {mean}{unit}"
