"""Runs in words: what they are called, how far they are, and how they ended. Needs no torch."""

from __future__ import annotations

from mtlbench.runs.request import Outcome, Progress, Request


def label(request: Request) -> str:
    """A run as people call it: its method and seed, its point of a sweep, and its role where that is not the study's."""
    config = request.config
    role = "" if config.role == "study" else f" ({config.role})"
    return f"{config.method} seed {config.seed}{f' at {request.point}' if request.point else ''}{role}"


def state(progress: Progress) -> str:
    """Phase, speed, losses: what stands behind a bar or in a line."""
    losses = " ".join(f"{task} {loss:.3g}" for task, loss in progress.losses.items())
    rate = f"{progress.rate:.3g} steps/s" if progress.rate else ""
    return ", ".join(part for part in (progress.phase, rate, losses, progress.message) if part)


def verdict(outcome: Outcome) -> str:
    """How a run ended, in a few words."""
    seconds = f" in {clock(outcome.seconds)}" if outcome.seconds else ""
    score = "" if outcome.score is None else f", validation score {outcome.score:.3f}"
    reason = f": {outcome.reason}" if outcome.reason else ""
    before = "skipped: " if outcome.skipped and outcome.status != "busy" else ""
    return f"{before}{outcome.status}{seconds}{score}{reason}"


def clock(seconds: float) -> str:
    """Seconds as people read them: 42 s, 3:07 min, 2:05 h."""
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d} min" if minutes < 100 else f"{minutes // 60}:{minutes % 60:02d} h"
