"""The tuning stage: the same space and the same number of validation-only trials for every method.

Trial 0 is the method as it stands, in the middle of the space. Trial i >= 1 takes point i + 1 of a Sobol sequence, whose
point 1 is the middle too, so no value is tried twice: learning rate, weight decay, dropout, the tasks' weights, and then
the knobs that a method's options declare (`Knob`). So what all methods share is the same for all, and more trials only add
to fewer. A trial runs on every tuning seed, none of them the study's; its score is the mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mtlbench import records
from mtlbench.config import RunConfig
from mtlbench.errors import RecordError
from mtlbench.runs import runner
from mtlbench.runs.request import Outcome, Request
from mtlbench.study.entries import Entry
from mtlbench.study.study import ResolvedStudy, at_seed, request

LR = (0.2, 5.0)  # factors on the study's learning rate, log-uniformly
WEIGHT_DECAY = (0.1, 10.0)  # factors on its weight decay
DROPOUT = (0.0, 0.5)
LEAST_WEIGHT = 0.05  # of a task, where the weights' mean is 1
FIRST_SEED = 10_000

Values = dict[str, Any]


@dataclass(frozen=True)
class Choice:
    """What tuning chose for a method: the trial, its values over the study's, its score, and that one's standard error.

    `trial` is None where no trial has a score: the method stands as it is.
    """

    values: Values
    trial: int | None = None
    score: float = math.nan
    error: float = math.nan


def trials(study: ResolvedStudy) -> list[Request]:
    """Every method's trials, method by method, trial by trial, seed by seed."""
    settings = study.settings
    same: dict[str, Any] = {"role": "tune", "data": _data(study)}
    if settings.tune_steps is not None:
        same["steps"] = settings.tune_steps
    own = seeds(study) if settings.tune else []
    first = (
        request(study, e, own[0], trial=i, **same, **point(study, e, i))
        for e in study.entries
        for i in range(settings.tune)
    )
    return [at_seed(asked, seed) for asked in first for seed in own]


def seeds(study: ResolvedStudy) -> list[int]:
    """The tuning seeds: the first from FIRST_SEED on that the study does not use."""
    own = study.settings.seeds
    free = (s for s in range(FIRST_SEED, FIRST_SEED + 10**6) if s not in own)
    return [next(free) for _ in range(study.settings.tune_seeds)]


def _data(study: ResolvedStudy) -> Mapping[str, Any]:
    """The data's options, with a larger part of train held out for validation."""
    options = dict(study.base["data"])
    held = options.get("val_fraction")
    return options if held is None else {**options, "val_fraction": max(held, study.settings.tune_validation)}


def point(study: ResolvedStudy, entry: Entry, trial: int) -> Values:
    """What a trial changes of the run's configuration; a method's knobs stand under `options`."""
    if trial == 0:
        return {}
    base = {k: study.base.get(k, RunConfig.model_fields[k].default) for k in ("lr", "weight_decay", "weighting")}
    tasks = study.base["tasks"]
    weighted = base["weighting"] == "fixed" and len(tasks) > 1
    knobs = entry.cls.knobs() if entry.cls is not None else {}
    shared = 3 + len(tasks) - 1
    places = sobol(shared + len(knobs), trial + 1)
    values: Values = {
        "lr": _rounded(base["lr"] * _between(LR, places[0])),
        "weight_decay": _rounded(base["weight_decay"] * _between(WEIGHT_DECAY, places[1])),
        "dropout": round(DROPOUT[0] + (DROPOUT[1] - DROPOUT[0]) * places[2], 2),
    }
    if weighted:
        own = {**study.dataset.weights, **study.base.get("weights", {})}
        factors = simplex(places[3:shared])
        values["weights"] = {t: _rounded(float(own.get(t, 1.0)) * f) for t, f in zip(tasks, factors, strict=True)}
    if knobs:
        pairs = zip(knobs.items(), places[shared:], strict=True)
        values["options"] = {name: knob.at(place) for (name, knob), place in pairs}
    return values


@cache
def sobol(dimensions: int, index: int) -> tuple[float, ...]:
    """The index-th point of the Sobol sequence (Joe and Kuo's numbers), from 1; each coordinate in (0, 1).

    Of more dimensions the first coordinates are the same. scipy's `qmc`; the 0th point, the origin, is not used.
    """
    from scipy.stats import qmc  # half a second, which only tuning costs

    sequence = qmc.Sobol(dimensions, scramble=False)
    sequence.fast_forward(index)
    return tuple(map(float, sequence.random(1)[0]))


def simplex(places: Sequence[float]) -> list[float]:
    """Weights with the mean 1, one more than coordinates in (0, 1): uniform on the simplex, but none below LEAST_WEIGHT.

    Sticks are broken off what is left, so that different coordinates are different weights.
    """
    parts, left = [], 1.0
    for behind, place in zip(range(len(places), 0, -1), places, strict=True):
        parts.append(left * (1 - place ** (1 / behind)))
        left -= parts[-1]
    return [LEAST_WEIGHT + (1 - LEAST_WEIGHT) * (len(places) + 1) * p for p in [*parts, left]]


def _between(limits: tuple[float, float], share: float) -> float:
    low, high = limits
    return float(low * (high / low) ** share)


def _rounded(value: float) -> float:
    return float(f"{value:.3g}")


def choose(study: ResolvedStudy, outcomes: Sequence[Outcome]) -> dict[str, Choice]:
    """For each method its trial with the best mean validation score over the seeds; a trial that lost a seed has none."""
    count, repeats = study.settings.tune, study.settings.tune_seeds
    if busy := [o for o in outcomes if o.status == "busy"]:
        raise RecordError(
            f"{len(busy)} of {len(outcomes)} trials are run by another process: the same command again goes on once they "
            f"are done ({busy[0].folder})"
        )
    chosen: dict[str, Choice] = {}
    for number, entry in enumerate(study.entries):
        own = outcomes[number * count * repeats : (number + 1) * count * repeats]
        scored = [(*_score(own[i * repeats : (i + 1) * repeats]), i) for i in range(count)]
        score, error, trial = max(scored, key=lambda s: (s[0], -s[2]))  # the earlier trial where two are equal
        known = score > -math.inf
        chosen[entry.name] = Choice(point(study, entry, trial), trial, score, error) if known else Choice({})
    return chosen


def _score(outcomes: Sequence[Outcome]) -> tuple[float, float]:
    """Mean score and its standard error over the validation split's images; -inf where a seed has no score."""
    known = [o for o in outcomes if o.score is not None and not math.isnan(o.score) and o.status == "finished"]
    if len(known) < len(outcomes):
        return -math.inf, math.nan
    scores, errors = [o.score or 0.0 for o in known], [math.nan if o.error is None else o.error for o in known]
    return sum(scores) / len(scores), sum(errors) / len(errors)  # the same images on every seed: errors do not shrink


def chosen_so_far(study: ResolvedStudy) -> dict[str, Choice]:
    """What `choose` gives once every trial is finished; {} before."""
    outcomes = []
    for asked in trials(study):
        folder = runner.folder_of(asked)
        found = recorded(folder)
        if found is None:
            return {}
        outcomes.append(Outcome(folder, "finished", score=found[0], error=found[1], skipped=True))
    return choose(study, outcomes)


def recorded(folder: Path) -> tuple[float | None, float | None] | None:
    """The validation score of a finished run's record and its error; (None, None) where it diverged, None if not done."""
    try:
        run = records.read_run(folder)
    except RecordError:
        return None
    if run.status == "diverged":
        return None, None
    final = run.final("val")
    return (final.gain, final.gain_error) if final is not None and run.status == "finished" else None


def describe(choice: Choice) -> str:
    """A choice in a few words: its values, and its score with the standard error."""
    values = choice.values
    flat = {**{k: v for k, v in values.items() if k not in ("options", "weights")}, **values.get("options", {})}
    flat |= {f"weight of {t}": w for t, w in values.get("weights", {}).items()}
    told = ", ".join(f"{k} {v:g}" if isinstance(v, int | float) else f"{k} {v}" for k, v in flat.items())
    score = "" if choice.trial is None else f" (score {choice.score:.3f}, standard error {choice.error:.3f})"
    return (told or "as it stands") + score
