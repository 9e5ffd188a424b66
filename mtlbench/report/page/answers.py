"""The question and its answer in words: which method wins where, and whether the difference is real."""

from __future__ import annotations

from mtlbench.report.analysis.aggregate import Aggregate, Line, mean, paired, primary
from mtlbench.report.analysis.merit import apart, costs, interval, merit, ranked, shown, worth
from mtlbench.report.tables.comparisons import p_text
from mtlbench.report.tables.naming import digits, metric_name, task_name, unit
from mtlbench.report.text import number

QUESTION = "What should the tasks share, and is the difference real?"


def answer(result: Aggregate) -> list[str]:
    """The study's answer in a few sentences, the most important first."""
    lines = ranked(result)
    if not lines:
        return ["No finished run has a figure yet."]
    best, measure = lines[0], merit(result)
    one_seed = len(result.study.seeds) == 1
    verb = "shows the highest" if one_seed else "has the highest"
    said = [f"{best.label} {verb} {shown(measure, mean(worth(result, best))).replace(' ', ': ', 1)}, at {costs(best)}."]
    if measure == "Δ" and best is result.line("independent"):
        said = [f"{best.label} {verb} Δ, zero by definition, at {costs(best)}: no other method does better."]
    if one_seed:
        return [
            *said,
            "One seed: this is not a ranking. Seed noise alone can be larger than these gaps.",
            *_tasks(result),
        ]
    return [*said, _real(result, best), *_close(result, best, lines), *_tasks(result), *_transfer(result)]


def _real(result: Aggregate, best: Line) -> str:
    """Whether the best is better than hard sharing, tuned equally: the baseline to beat."""
    shared = result.line("shared")
    if shared is None or not worth(result, shared):
        return "Hard sharing has no figure here, so there is no baseline to test against."
    if best is shared:
        return "No method did better than plain hard sharing."
    test = paired(None, worth(result, best), worth(result, shared))
    key = ("all tasks", "delta")
    corrected = best.against[key].corrected if key in best.against and merit(result) == "Δ" else test.p
    gain = f"{interval(test.difference, 1 if merit(result) == 'Δ' else 3)} points over hard sharing"
    if test.difference.n < 2:
        return f"That is {gain}, with too few common seeds to test it."
    verdict = "a real difference at these seeds" if corrected < 0.05 else "not told apart from seed noise"
    return f"That is {gain}, p {p_text(corrected)} after Holm's correction: {verdict}."


def _close(result: Aggregate, best: Line, lines: list[Line]) -> list[str]:
    close = [x for x in lines[1:] if not apart(result, best, x)]
    if not close:
        return []
    named = ", ".join(f"{x.label} ({costs(x)})" for x in close[:4]) + (
        f" and {len(close) - 4} more" if len(close) > 4 else ""
    )
    return [f"Not told apart from it: {named}."]


def _tasks(result: Aggregate) -> list[str]:
    """Which method has the best primary metric of each task."""
    told = []
    for task in result.study.tasks:
        metric = primary(task)
        lines = [x for x in result.lines if metric and x.row.role == "study" and x.values[task.name, metric.name]]
        if metric is None or not lines:
            continue
        sign = 1 if metric.higher else -1
        key = (task.name, metric.name)
        top = max(lines, key=lambda x: (sign * mean(x.values[key]).mean, x.label))
        figure = f"{number(mean(top.values[key]).mean, digits(metric))} {unit(metric)}".replace(" °", "°").strip()
        told.append(f"{top.label} on {task_name(task)} ({metric_name(metric)} {figure})")
    return [f"Best by task: {'; '.join(told)}."] if told else []


def _transfer(result: Aggregate) -> list[str]:
    """Tasks that a method makes clearly worse than single-task."""
    hurt = []
    for line in result.lines:
        names = [task_name(t) for t in result.study.tasks if mean(line.delta.get(t.name, {})).high < 0]
        if names and line.row.role == "study":
            hurt.append(f"{line.label} on {', '.join(names)}")
    return [f"Negative transfer (95 % interval below zero): {'; '.join(hurt)}."] if hurt else []
