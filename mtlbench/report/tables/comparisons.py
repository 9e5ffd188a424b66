"""Tables of comparisons: against hard sharing, all pairs, over another test set, and ranks over data sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, OVERALL, SCORE, Aggregate, Key, Line
from mtlbench.report.analysis.statistics import EMPTY, Paired, Ranks, Span, Summary
from mtlbench.report.tables import words
from mtlbench.report.tables.formats import Cell, Column, Table
from mtlbench.report.tables.naming import digits, label, metric_name, task_name, unit
from mtlbench.report.text import MISSING, number

GIVEN = {"steps": "given the same steps", "flops": "given the same FLOPs"}
Target = tuple[str, str, str, int]  # group, head, unit, decimals


def against(result: Aggregate) -> Table:
    """Each method against hard sharing, and against hard sharing given its own training, paired by seed."""
    targets = list(_targets(result))
    tested = any(test.difference.n > 1 for line in result.lines for test in line.against.values())
    columns: list[Column] = []
    for (group, head, shown, decimals), _ in targets:
        columns.append(Column("gain", head, group, shown, None, decimals, True, interval=True))
        columns += [Column("p", "p", group), Column("detectable", "detectable", group, shown, None, decimals)] * tested
    rows = []
    for line in result.lines:
        if line.against:
            cells = [_test_cells(test(line), decimals) for (_, _, _, decimals), test in targets]
            rows.append((label(line), [c for each in cells for c in (each if tested else each[:1])]))
    notes = [words.AGAINST_ONE_SEED if len(result.study.seeds) == 1 else words.AGAINST]
    notes += [words.CONTROLLED] * any(line.controlled for line in result.lines)
    return Table("against-hard-sharing", "Against hard sharing, paired by seed", columns, rows, notes)


def _targets(result: Aggregate) -> Iterator[tuple[Target, Callable[[Line], Paired | None]]]:
    """What is compared: the headline, the headline with each control, then each task's primary metric."""
    delta = result.headline != SCORE
    head, shown, decimals = ("gain in Δ", "points", 1) if delta else ("gain in mean skill", "", 3)
    yield (OVERALL, head, shown, decimals), partial(_shared, result.headline)
    for kind, given in GIVEN.items():
        if any(kind in line.controlled for line in result.lines):
            yield (f"{OVERALL}, {given}", head, shown, decimals), partial(_controlled, kind)
    for task in result.study.tasks:
        if metric := result.primary(task):
            target = (task_name(task), f"gain in {metric_name(metric)}", unit(metric), digits(metric))
            yield target, partial(_shared, (task.name, metric.name))


def _shared(key: Key, line: Line) -> Paired | None:
    return line.against.get(key)


def _controlled(kind: str, line: Line) -> Paired | None:
    return line.controlled.get(kind)


def _test_cells(test: Paired | None, decimals: int) -> list[Cell]:
    if test is None:
        return [Cell(EMPTY), Cell(MISSING), Cell(MISSING)]
    return [Cell(test.difference), Cell(p_text(test.corrected)), Cell(number(test.detectable, decimals))]


def p_text(p: float) -> str:
    """A p value with three decimals."""
    if not math.isfinite(p):
        return MISSING
    return "< .001" if p < 0.001 else f"{p:.3f}"


def pairs(result: Aggregate) -> Table:
    """All pairs on the headline, from ten seeds."""
    columns = [
        Column("gain", "difference in Δ", "", "points", None, 1, True, interval=True),
        Column("p", "p (Holm)"),
        Column("detectable", "detectable", "", "points"),
    ]
    rows = [
        (f"{a} - {b}", [Cell(t.difference), Cell(p_text(t.corrected)), Cell(number(t.detectable, 1))])
        for (a, b), t in result.pairs.items()
    ]
    return Table("pairs", "All pairs, Δ overall, paired by seed", columns, rows, first="Pair")


def over_test_sets(result: Aggregate) -> Table:
    """What another test set would change, from the bootstrap of test images, beside the spread over seeds."""
    tasks = [(t, m) for t in result.study.tasks if (m := result.primary(t))]
    columns: list[Column] = []
    for task, metric in tasks:
        shown = (task_name(task), unit(metric), metric.higher, digits(metric))
        columns.append(Column(metric.name, metric_name(metric), *shown, interval=True))
        columns.append(
            Column("gain", "gain over hard sharing", shown[0], shown[1], None, shown[3], True, interval=True)
        )
    columns.append(Column("delta_primary", "Δ", "", "%", True, 1, True, interval=True))
    rows = []
    for line in result.lines:
        spans, gains = result.test.spans.get(line.label, {}), result.test.gains.get(line.label, {})
        keys: list[Key] = [(t.name, m.name) for t, m in tasks]
        cells = [Cell(_span(found.get(key))) for key in keys for found in (spans, gains)]
        if spans:
            rows.append((label(line), [*cells, Cell(_span(spans.get(DELTA_PRIMARY)))]))
    sizes = "; ".join(
        f"{t}: {n} images" + (f" in {b} blocks" if (b := result.test.blocks[t]) < n else "")
        for t, n in sorted(result.test.images.items())
    )
    notes = [f"{words.TEST_SET} {sizes}."]
    return Table("test-set", "Uncertainty from the test images", columns, rows, notes)


def _span(span: Span | None) -> Summary:
    return EMPTY if span is None else Summary(1, span.figure, span.sd, span.low, span.high)


def rank_table(found: Ranks) -> Table:
    """Mean ranks over data sets, with Friedman's test and the critical difference."""
    rows = [
        (name, [Cell(Summary(found.blocks, rank))]) for rank, name in sorted(zip(found.mean, found.names, strict=True))
    ]
    columns = [Column("rank", f"mean rank over {found.blocks} data sets", "", "", False, 2)]
    note = (
        f"Ranks of Δ within each data set, 1 is best. Friedman's test: chi-square {found.chi2:.2f}, p {p_text(found.p)}. "
        f"Two mean ranks that differ by less than {found.critical:.2f} (Nemenyi, 5 %) cannot be told apart."
    )
    return Table("ranks", "Mean ranks over data sets", columns, rows, [note])
