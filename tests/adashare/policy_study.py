"""What the penalties do to the learned policies, from records: paired differences over seeds, with 95 % t intervals.

python tests/adashare/policy_study.py RESULTS lambda_sparsity [lambda_sharing=0.01 ...]   highest against lowest value
python tests/adashare/policy_study.py RESULTS twins                                       the twins against the third task

The words after the option keep only runs with these values. docs/methods/adashare.md has the runs and the figures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np

from mtlbench.records import read_each
from mtlbench.report.analysis.statistics import Summary, summarise
from mtlbench.report.reading.reported_run import Policy, ReportedRun, reported

TWINS = ("depth", "depth2", "rival")


def mean_alpha(policy: Policy) -> float:
    """The mean probability of execution, over tasks and blocks."""
    return float(np.mean(policy.alpha))


def distance(policy: Policy, pairs: Iterable[tuple[int, int]] | None = None) -> float:
    """Mean |alpha_i - alpha_j| over blocks and pairs of tasks (all pairs by default)."""
    alpha = np.array(policy.alpha)
    found = list(combinations(range(len(alpha)), 2) if pairs is None else pairs)
    return float(np.mean([np.abs(alpha[i] - alpha[j]).mean() for i, j in found]))


def policy_of(run: ReportedRun) -> Policy:
    """A run's policy; `wanted` leaves only runs that have one."""
    assert run.policy is not None
    return run.policy


def validation(run: ReportedRun) -> float:
    """The run's score (mean skill) on validation."""
    assert run.validation is not None
    return run.validation


MEASURES: Mapping[str, Callable[[ReportedRun], float]] = {
    "mean alpha": lambda run: mean_alpha(policy_of(run)),
    "distance": lambda run: distance(policy_of(run)),
    "executed": lambda run: float(np.mean(policy_of(run).decided)),
    "validation": validation,
}


def twins_margin(policy: Policy) -> float:
    """How much further the third task's policy lies from the twins' than theirs from each other."""
    first, second, third = (policy.tasks.index(t) for t in TWINS)
    return distance(policy, [(first, third), (second, third)]) - distance(policy, [(first, second)])


def high_less_low(runs: Iterable[ReportedRun], option: str) -> dict[str, Summary]:
    """The paired difference, highest less lowest value of the option, of every measure; prints the means at each value."""
    by_value: dict[float, dict[int, ReportedRun]] = {}
    for run in runs:
        by_value.setdefault(float(run.options[option]), {})[run.seed] = run
    low, high = by_value[min(by_value)], by_value[max(by_value)]
    seeds = sorted(low.keys() & high.keys())
    print(f"{option}: {max(by_value):g} less {min(by_value):g}, seeds {seeds}")
    for value, found in sorted(by_value.items()):
        said = " ".join(f"{name} {summarise([f(r) for r in found.values()]).mean:.3f}" for name, f in MEASURES.items())
        spread = summarise([validation(r) for r in found.values()]).sd
        print(f"  {option}={value:g}: {said} (deviation {spread:.3f}), {len(found)} seeds")
    return {name: summarise([f(high[s]) - f(low[s]) for s in seeds]) for name, f in MEASURES.items()}


def wanted(run: ReportedRun, values: Mapping[str, str]) -> bool:
    """Whether a run is AdaShare's, finished, with these options."""
    return run.counts and run.policy is not None and all(float(run.options[k]) == float(v) for k, v in values.items())


def main(results: str, what: str, *keep: str) -> None:
    """Print the differences."""
    values = dict(word.split("=", 1) for word in keep)
    runs = [reported(r) for r in read_each(Path(results)) if not isinstance(r, str)]
    runs = [r for r in runs if wanted(r, values)]
    if what == "twins":
        margins = [twins_margin(policy_of(r)) for r in runs]
        found = {f"margin over {len(runs)} seeds": summarise(margins)}
    else:
        found = high_less_low(runs, what)
    for name, s in found.items():
        print(f"{name}: {s.mean:+.3f}, 95 % interval {s.low:+.3f} to {s.high:+.3f} (n = {s.n})")


if __name__ == "__main__":
    main(*sys.argv[1:])
