"""What a training that is interrupted must know to go on, beside tensors."""

from __future__ import annotations

from dataclasses import dataclass, field

TIMERS = ("data", "forward", "backward", "optimizer", "other")


@dataclass
class State:
    """Everything but tensors that a resumed run must know."""

    step: int = 0
    phase: int = 0  # the one that is running
    entered: int = -1  # the last one whose start was called
    scores: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)  # rule of selection -> the best score so far
    measured: dict[str, float] = field(default_factory=dict)  # split -> the last validation's score
    measured_at: int = -1  # its step
    flops: float = 0.0
    settled: dict[str, int] = field(default_factory=dict)  # final phase -> its steps, under a budget of FLOPs
    counted: dict[str, list[float]] = field(default_factory=dict)  # kind of turn -> [step of the count, FLOPs a step]
    sums: dict[str, float] = field(default_factory=dict)  # losses since the last log line
    since: int = 0
    processor: float = 0.0  # seconds of all cores together
    timing: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TIMERS, 0.0))
