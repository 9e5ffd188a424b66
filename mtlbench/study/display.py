"""What a study shows while it runs: bars where there is a terminal, plain lines where there is none."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as ProgressBars
from rich.table import Column
from rich.text import Text

from mtlbench.runs.request import Outcome, Progress, Request
from mtlbench.study.words import clock, label, state, verdict

EVERY = 10.0  # seconds between two plain lines of a study
NAME, BAR = 32, 16  # characters


class Display(Protocol):
    """Told what happens to the runs of a study, which are numbered from 0."""

    def __enter__(self) -> Display: ...
    def __exit__(self, *_: object) -> None: ...
    def begin(self, number: int, request: Request) -> None: ...
    def update(self, number: int, progress: Progress) -> None: ...
    def end(self, number: int, request: Request, outcome: Outcome) -> None: ...


Show = Callable[[int], Display]
"""A display for so many runs."""


def display(total: int) -> Display:
    """The display for `total` runs that fits standard output."""
    return Bars(total) if sys.stdout.isatty() else Lines(total)


class Silence:
    """Shows nothing."""

    def __init__(self, total: int = 0) -> None:
        pass

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, number: int, request: Request) -> None:
        """A run starts."""

    def update(self, number: int, progress: Progress) -> None:
        """A run got on."""

    def end(self, number: int, request: Request, outcome: Outcome) -> None:
        """A run ended."""


class Lines:
    """A line where a run ends, and one every EVERY seconds between, by turns where runs are side by side."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._labels: dict[int, str] = {}  # of the runs under way
        self._shown: dict[int, float] = {}  # when each had its last line
        self._first: dict[int, tuple[float, int]] = {}  # when progress was first heard of, and the step then

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        sys.stdout.flush()

    def begin(self, number: int, request: Request) -> None:
        """A run starts."""
        self._labels[number] = f"[{number + 1}/{self.total}] {label(request)}"
        self._shown[number] = time.monotonic()

    def update(self, number: int, progress: Progress) -> None:
        """A run got on."""
        now = time.monotonic()
        since, step = self._first.setdefault(number, (now, progress.step))
        turn = min(self._labels, key=lambda n: self._shown[n])  # whose last line is the oldest
        if turn != number or now - max(self._shown.values()) < EVERY:
            return
        self._shown[number] = now
        done, ahead = progress.step - step, ""
        if done and progress.step < progress.steps:  # the mean speed so far: that of the last moment jumps about
            ahead = f", {clock((progress.steps - progress.step) * (now - since) / done)} left"
        print(f"{self._labels[number]}: step {progress.step}/{progress.steps}, {state(progress)}{ahead}", flush=True)

    def end(self, number: int, request: Request, outcome: Outcome) -> None:
        """A run ended."""
        self._labels.pop(number, None)
        print(f"[{number + 1}/{self.total}] {label(request)}: {verdict(outcome)}", flush=True)


class Left(TimeRemainingColumn):
    """The time left, and that it is that."""

    def render(self, task: Task) -> Text:
        """Empty until it is known."""
        told = super().render(task)
        return Text(f"{told.plain} left", told.style) if told.plain[:1].isdigit() else Text()


class Bars:
    """A bar for the study and one for every run under way; a line stays for each that ended."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        name = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis", max_width=NAME))
        rest = Column(no_wrap=True, overflow="ellipsis", ratio=1)  # what a narrow terminal cuts: the others stay whole
        self._bars = ProgressBars(
            name,
            BarColumn(bar_width=BAR, table_column=Column(no_wrap=True)),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            Left(table_column=Column(no_wrap=True)),
            TextColumn("{task.fields[state]}", markup=False, table_column=rest),
            console=console,
            expand=True,
        )
        self._study = self._bars.add_task("runs", total=total, state="")
        self._tasks: dict[int, TaskID] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, number: int, request: Request) -> None:
        """A run starts."""
        self._tasks[number] = self._bars.add_task(label(request), total=None, state="starting")

    def update(self, number: int, progress: Progress) -> None:
        """A run got on."""
        task = self._tasks[number]
        self._bars.update(task, completed=progress.step, total=progress.steps, state=state(progress))

    def end(self, number: int, request: Request, outcome: Outcome) -> None:
        """A run ended."""
        if number in self._tasks:
            self._bars.remove_task(self._tasks.pop(number))
        self._bars.advance(self._study)
        self._bars.print(f"{label(request)}: {verdict(outcome)}", markup=False, highlight=False)
