"""The tuning stage: the same small space and the same number of validation-only trials for every method.

Trial 0 is the method as it stands. Trial i >= 1 takes the i-th point of a Halton sequence (bases 2, 3, 5) as factors on
learning rate and weight decay and, where the method has the option `units_lr`, as the multiplier of its units. So the
points are the same for all methods, and more trials only add to fewer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtlbench import records
from mtlbench.config import RunConfig
from mtlbench.errors import RecordError

if TYPE_CHECKING:
    from mtlbench.runs.runner import Outcome, Request
    from mtlbench.study.entries import Entry
    from mtlbench.study.study import ResolvedStudy

LR = (0.2, 5.0)  # factors on the study's learning rate, log-uniformly
WEIGHT_DECAY = (0.1, 10.0)  # factors on its weight decay
UNITS_LR = (1.0, 10.0)  # the unit multipliers tried
FIRST_SEED = 10_000

Values = dict[str, Any]


def trials(study: ResolvedStudy) -> list[Request]:
    """Every method's trials, method by method, on a seed that is not the study's."""
    from mtlbench.study.study import request

    seed = next(s for s in range(FIRST_SEED, FIRST_SEED + 10**6) if s not in study.settings.seeds)
    count = study.settings.tune
    return [
        request(study, e, seed, role="tune", trial=i, **point(study, e, i)) for e in study.entries for i in range(count)
    ]


def point(study: ResolvedStudy, entry: Entry, trial: int) -> Values:
    """What a trial changes: `lr`, `weight_decay` and, for a method with units, its option `units_lr`."""
    if trial == 0:
        return {}
    lr, decay, units = (radical_inverse(trial, base) for base in (2, 3, 5))
    values: Values = {
        "lr": _rounded(_base(study, "lr") * _between(LR, lr)),
        "weight_decay": _rounded(_base(study, "weight_decay") * _between(WEIGHT_DECAY, decay)),
    }
    if entry.cls is not None and "units_lr" in entry.cls.Options.model_fields:
        values["options"] = {"units_lr": UNITS_LR[int(units * len(UNITS_LR))]}
    return values


def radical_inverse(index: int, base: int) -> float:
    """The van der Corput sequence: `index` written in `base`, mirrored at the point; in (0, 1) from 1 up."""
    result, scale = 0.0, 1.0
    while index:
        index, digit = divmod(index, base)
        scale /= base
        result += digit * scale
    return result


def _base(study: ResolvedStudy, key: str) -> float:
    return float(study.base.get(key, RunConfig.model_fields[key].default))


def _between(limits: tuple[float, float], share: float) -> float:
    low, high = limits
    return float(low * (high / low) ** share)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def choose(study: ResolvedStudy, requests: Sequence[Request], outcomes: Sequence[Outcome]) -> dict[str, Values]:
    """For each method the values of its trial with the best validation score; {} where no trial has one."""
    count = study.settings.tune
    scores = [_score(o) for o in outcomes]
    chosen: dict[str, Values] = {}
    for number, entry in enumerate(study.entries):
        own = scores[number * count : (number + 1) * count]
        best = max((s, -i) for i, s in enumerate(own))  # the earlier trial where two are equal
        chosen[entry.name] = point(study, entry, -best[1]) if best[0] > float("-inf") else {}
    return chosen


def _score(outcome: Outcome) -> float:
    if outcome.score is not None and outcome.status in ("finished", "skipped"):
        return outcome.score
    return float("-inf")


def chosen_so_far(study: ResolvedStudy) -> dict[str, Values]:
    """What `choose` gives once every trial is finished; {} before."""
    from mtlbench.runs import runner

    requests = trials(study)
    outcomes = []
    for request in requests:
        folder = runner.plan(request).folder
        score = recorded_score(folder)
        if score is None:
            return {}
        outcomes.append(runner.Outcome(folder, "skipped", "finished", score))
    return choose(study, requests, outcomes)


def recorded_score(folder: Path) -> float | None:
    """The validation score a finished run's record holds; -inf for one that diverged, None for one not done."""
    try:
        run = records.read_run(folder)
    except RecordError:
        return None
    if run.status == "diverged":
        return float("-inf")
    final = run.final("val")
    return final.score if final is not None and run.status == "finished" else None


def describe(values: Mapping[str, Any]) -> str:
    """Chosen values in a few words."""
    flat = {**{k: v for k, v in values.items() if k != "options"}, **values.get("options", {})}
    return ", ".join(f"{k} {v:g}" for k, v in flat.items()) or "as it stands"
