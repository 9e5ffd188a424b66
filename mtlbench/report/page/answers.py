"""The question and its answer in words. Whatever is said of a difference is a claim that survived its correction."""

from __future__ import annotations

import math
from collections.abc import Sequence

from mtlbench.report.analysis.aggregate import Aggregate, Claim, Line, mean, primary
from mtlbench.report.analysis.claims import CONTROLS, controls
from mtlbench.report.analysis.merit import apart, chosen, costs, interval, merit, over_shared, ranked, shown, worth
from mtlbench.report.analysis.statistics import Paired
from mtlbench.report.tables.comparisons import p_text
from mtlbench.report.tables.naming import digits, metric_name, task_name, unit
from mtlbench.report.text import number

QUESTION = "What should the tasks share, and is the difference real?"
ONE_SEED = "One seed: no ranking. Seed noise alone can be larger than these gaps."
GIVEN = {"steps": "given as many steps", "flops": "given as many training FLOPs"}
EQUAL = {"compute": "at equal training FLOPs", "total": "at equal steps"}


def answer(result: Aggregate) -> list[str]:
    """The study's answer in a few sentences, the most important first: what is known, then what is not."""
    lines = ranked(result)
    if not lines:
        return ["No finished run has a figure yet."]
    if len(result.study.seeds) == 1:
        return [ONE_SEED, _highest(result, lines)]
    said = [*_verdict(result), *_controls(result), *_unknown(result), _highest(result, lines), *_close(result, lines)]
    return [*said, *_bests(result), *_harms(result)]


def real(result: Aggregate, kind: str, sign: int = 0) -> list[Claim]:
    """The claims of a kind that survived, of one sign where that is asked for."""
    found = [c for c in result.claims if c.kind == kind and c.test.real]
    return [c for c in found if sign * c.test.difference.mean >= 0] if sign else found


def difference_unit(result: Aggregate) -> tuple[int, str]:
    """Decimals and unit of a difference in the headline."""
    return (1, "points of Δ") if merit(result) == "Δ" else (3, "of skill")


def training(result: Aggregate) -> str:
    """In what the rows of a study were trained alike."""
    if any(controls(result, x) for x in result.lines):
        return "at equal training"
    return EQUAL.get(str(result.study.config.get("budget", "total")), "under the same budget of the final phase")


def _verdict(result: Aggregate) -> list[str]:
    """Whether anything differs from hard sharing, tuned equally: the baseline to beat."""
    shared = result.line("shared")
    if shared is None or not worth(result, shared):
        return ["Hard sharing has no figure here, so there is no baseline to test against."]
    better, worse = real(result, "gain", 1), real(result, "gain", -1)
    told = []
    if better:
        told.append(f"Better than hard sharing {training(result)}: {_listed(result, better)}.")
    if worse:
        told.append(f"Worse than hard sharing {training(result)}: {_listed(result, worse)}.")
    if not any(c.test.p == c.test.p for c in result.claims if c.kind == "gain"):
        return ["Nothing is compared: no other method has two seeds or more in common with hard sharing."]
    return told or [f"No method is shown to differ from hard sharing {training(result)}."]


def _listed(result: Aggregate, claims: Sequence[Claim]) -> str:
    """Each method with its smallest difference to hard sharing, of however it was trained."""
    decimals, points = difference_unit(result)
    ordered = sorted(claims, key=lambda c: (-abs(c.test.difference.mean), c.line.label))
    told = [f"{c.line.label} ({interval(over_shared(result, c.line), decimals)}, p {p_text(c.test.corrected)})"
            if not c.line.controlled else f"{c.line.label} (p {p_text(c.test.corrected)})" for c in ordered]  # fmt: skip
    widened = "intervals widened for the choice of the row, " if any(not c.line.controlled for c in ordered) else ""
    return f"{', '.join(told)}; {points}, {widened}p corrected for everything this answer could have said"


def _controls(result: Aggregate) -> list[str]:
    """What is left of each method's gain when hard sharing is given the method's own training."""
    decimals, points = difference_unit(result)
    told = []
    for line in result.lines:
        if not line.controlled:
            continue
        plain = line.against.get(result.headline)
        each = (
            [f"{number(plain.difference.mean, decimals, sign=True)} over hard sharing as the study trains it"]
            if plain
            else []
        )
        for kind in CONTROLS:
            if kind in line.controlled:
                each.append(f"{_gain(line.controlled[kind], decimals)} over hard sharing {GIVEN[kind]}")
        told.append(f"{line.label}: {', '.join(each)} ({points}).")
    return told


def _gain(test: Paired, decimals: int) -> str:
    p = f", p {p_text(test.corrected)}" if math.isfinite(test.corrected) else ""
    return f"{interval(test.difference, decimals)}{p}"


def _unknown(result: Aggregate) -> list[str]:
    """What was not found, and how large it would have had to be."""
    open_ = [c for c in result.claims if c.kind == "gain" and not c.test.real]
    sizes = [c.test.detectable for c in open_ if math.isfinite(c.test.detectable)]
    if not open_:
        return []
    decimals, points = difference_unit(result)
    named = f"{len(open_)} methods" if len(open_) > 1 else open_[0].line.label
    if not sizes:
        return [f"For {named} there are too few common seeds to tell."]
    low, high = (number(f(sizes), decimals) for f in (min, max))
    size = low if low == high else f"{low} to {high}"
    return [f"No difference was found for {named}; one of {size} {points} would have been with a chance of 80 %, so this "
            "does not make them equal."]  # fmt: skip


def _highest(result: Aggregate, lines: Sequence[Line]) -> str:
    """The highest figure, with an interval that holds for whichever row came out highest."""
    best, measure = lines[0], merit(result)
    if measure == "Δ" and best is result.line("independent"):
        return f"Highest Δ: {best.label}, zero by definition, at {costs(best)}; every other figure is below it."
    figure = shown(measure, chosen(result, best)).removeprefix(f"{measure} ")
    doubt = (
        f", interval widened for the choice among {len(lines)}"
        if len(result.study.seeds) > 1 and len(lines) > 1
        else ""
    )
    return f"Highest {measure}: {best.label}, {figure}{doubt}, at {costs(best)}."


def _close(result: Aggregate, lines: Sequence[Line]) -> list[str]:
    close = [x for x in lines[1:] if not apart(result, lines[0], x)]
    if not close:
        return []
    more = f" and {len(close) - 4} more" if len(close) > 4 else ""
    return [f"Not told apart from it: {', '.join(f'{x.label} ({costs(x)})' for x in close[:4])}{more}."]


def _bests(result: Aggregate) -> list[str]:
    """Which method is the best on a task, where it is told apart from every other."""
    told = []
    for claim in real(result, "best"):
        metric = primary(claim.task) if claim.task else None
        if claim.task is None or metric is None:
            continue
        value = mean(claim.line.values[claim.task.name, metric.name]).mean
        figure = f"{number(value, digits(metric))} {unit(metric)}".replace(" °", "°").strip()
        told.append(f"{claim.line.label} on {task_name(claim.task)} ({metric_name(metric)} {figure})")
    if told:
        return [f"Best on a task, told apart from every other method: {'; '.join(told)}."]
    return ["On no single task is one method told apart from all others."] if len(result.study.tasks) > 1 else []


def _harms(result: Aggregate) -> list[str]:
    """Tasks that a method makes worse than single-task."""
    hurt: dict[str, list[str]] = {}
    for claim in real(result, "harm", -1):
        if claim.task is not None:
            hurt.setdefault(claim.line.label, []).append(task_name(claim.task))
    told = "; ".join(f"{label} on {', '.join(names)}" for label, names in hurt.items())
    return [f"Negative transfer, worse than single-task: {told}."] if told else []
