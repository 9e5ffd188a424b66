"""What a study's sentences may say: every comparison that could have been said is one family, corrected together.

A sentence about the best of many, or about the tasks that a method harms, is chosen after looking: it is said only where the
correction over everything that could have been said instead leaves it. Under no difference at all, 5 % of studies say
something false. See docs/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence

from mtlbench.report.analysis import statistics
from mtlbench.report.analysis.aggregate import Aggregate, Claim, Line, compared, mean, primary
from mtlbench.report.analysis.statistics import ALPHA, Paired

ALL_PAIRS = 10  # seeds from which every pair is compared
SHARE = 0.8  # of the level, for the comparisons with hard sharing; the rest is for tasks
CONTROLS = ("steps", "flops")


def compare(result: Aggregate) -> None:
    """Every comparison of a study: with hard sharing, with its controls, on each task, and all pairs."""
    lines = [x for x in result.lines if x.row.role == "study"]
    shared = result.line("shared")
    others = [x for x in lines if x is not shared] if shared is not None else []
    gains = _plain(result, others)
    tasks = [*_harms(result, lines), *_bests(result, lines)]
    result.claims = _corrected([_gain(result, x, gains) for x in others if x.label in gains], tasks)
    _families(result, others, gains, tasks)
    if len(result.study.seeds) >= ALL_PAIRS:
        result.pairs = _all_pairs(result, [x for x in lines if x.series(result.headline)])


def _plain(result: Aggregate, others: Sequence[Line]) -> dict[str, Paired]:
    """Each method against hard sharing on the headline, by label."""
    shared = result.line("shared")
    assert shared is not None or not others
    found = {x.label: compared(result, x, shared, result.headline) for x in others if shared}
    return {label: test for label, test in found.items() if test.difference.n}


def controls(result: Aggregate, line: Line) -> dict[str, Line]:
    """Hard sharing given this row's own training: by its total "steps" and by its total "flops".

    Where rows of one method have controls of their own, a row's is the one that took most nearly what the row did.
    """
    found = {}
    for kind, cost in (("steps", "steps"), ("flops", "training_flops")):
        own = line.costs.get(cost, statistics.EMPTY).mean
        every = [x for x in result.lines if x.row.role == "control" and x.row.control_kind == kind
                 and x.row.control_of in (line.label, line.row.method)]  # fmt: skip
        if every:
            gaps = [abs(x.costs.get(cost, statistics.EMPTY).mean - own) for x in every]
            found[kind] = every[min(range(len(every)), key=lambda i: (gaps[i] != gaps[i], gaps[i], i))]
    return found


def _gain(result: Aggregate, line: Line, gains: dict[str, Paired]) -> Claim:
    """A method differs from hard sharing if it does from every one that was trained: the largest p of them (one claim)."""
    tests = [gains[line.label]]
    for kind, control in controls(result, line).items():
        test = compared(result, line, control, result.headline)
        line.controlled[kind] = test
        tests.append(test)
    least = max(tests, key=lambda t: t.p if t.p == t.p else 2.0)
    agree = len({t.difference.mean > 0 for t in tests}) == 1
    untested = any(t.p != t.p for t in tests)
    p = statistics.NAN if untested else least.p if agree else 1.0
    return Claim("gain", line, None, Paired(least.difference, p, p))


def _harms(result: Aggregate, lines: Sequence[Line]) -> list[Claim]:
    """Each method on each task against single-task, by the task's primary metric."""
    single = result.line("independent")
    found = []
    for line in lines:
        for task in result.study.tasks:
            least = result.least.get((task.name, "Δ"), 0.0)
            change = statistics.summarise([*line.delta_primary.get(task.name, {}).values()], least)
            if line is not single and change.n >= 2:
                p = statistics.p_value(change)
                found.append(Claim("harm", line, task, Paired(change, p, p)))
    return found


def _bests(result: Aggregate, lines: Sequence[Line]) -> list[Claim]:
    """Each task's best figure against every other one, controls too: the largest p (Gutmann and Maymin 1987: to have
    chosen the best costs nothing)."""
    found = []
    for task in result.study.tasks:
        metric = primary(task)
        with_figure = [x for x in result.lines if metric and len(x.values[task.name, metric.name]) > 1]
        if metric is None or len(with_figure) < 3 or (task.name, metric.name) in result.kept_out:
            continue
        key = (task.name, metric.name)
        sign = 1 if metric.higher else -1
        top = max(with_figure, key=lambda x: (sign * mean(x.values[key]).mean, x.label))
        if top not in lines or not mean(top.skill.get(task.name, {})).low > 0:
            continue  # a control is no answer, and at the level of the constant predictor nothing is best
        tests = [compared(result, top, x, key, metric) for x in with_figure if x is not top]
        found.append(Claim("best", top, task, max(tests, key=lambda t: t.p if t.p == t.p else 2.0)))
    return found


def _corrected(gains: Sequence[Claim], tasks: Sequence[Claim]) -> list[Claim]:
    claims = [*gains, *tasks]
    weights = _weights([c.test.p for c in gains], [c.test.p for c in tasks])
    found = statistics.holm([c.test.p for c in claims], weights)
    for claim, p, weight in zip(claims, found, weights, strict=True):
        claim.test = claim.test.within(p, ALPHA * weight)
    return claims


def _weights(gains: Sequence[float], tasks: Sequence[float]) -> list[float]:
    """Shares of the level that add up to 1 over the tests there are."""
    first, second = (sum(p == p for p in group) for group in (gains, tasks))
    share = SHARE if first and second else float(first > 0)
    return [share / max(first, 1) or 1.0] * len(gains) + [(1 - share) / max(second, 1) or 1.0] * len(tasks)


def _families(result: Aggregate, others: Sequence[Line], gains: dict[str, Paired], tasks: Sequence[Claim]) -> None:
    """The corrected p of every comparison that tables show: as in the sentences for the headline; all tasks' primary
    metrics are a family of their own."""
    for kind in ("", *CONTROLS):
        found = [(x, t) for x in others if (t := x.controlled.get(kind) if kind else gains.get(x.label))]
        p = [t.p for _, t in found]
        weights = _weights(p, [c.test.p for c in tasks])
        fixed = statistics.holm([*p, *(c.test.p for c in tasks)], weights)
        for (line, test), q, weight in zip(found, fixed, weights, strict=False):
            within = test.within(q, ALPHA * weight)
            if kind:
                line.controlled[kind] = within
            else:
                line.against[result.headline] = within
    shared = result.line("shared")
    if shared is not None:
        _tasks(result, others, shared)


def _tasks(result: Aggregate, others: Sequence[Line], shared: Line) -> None:
    keys = [((t.name, m.name), m) for t in result.study.tasks if (m := primary(t))]
    found = [(x, key, compared(result, x, shared, key, m)) for key, m in keys for x in others]
    tested = sum(t.p == t.p for _, _, t in found)
    for (line, key, test), p in zip(found, statistics.holm([t.p for _, _, t in found]), strict=True):
        if test.difference.n:
            line.against[key] = test.within(p, ALPHA / max(tested, 1))


def _all_pairs(result: Aggregate, lines: Sequence[Line]) -> dict[tuple[str, str], Paired]:
    keys = [(a, b) for i, a in enumerate(lines) for b in lines[i + 1 :]]
    tests = [compared(result, a, b, result.headline) for a, b in keys]
    fixed = statistics.holm([t.p for t in tests])
    level = ALPHA / max(sum(t.p == t.p for t in tests), 1)
    return {(a.label, b.label): t.within(p, level) for (a, b), t, p in zip(keys, tests, fixed, strict=True)}
