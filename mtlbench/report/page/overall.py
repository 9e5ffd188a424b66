"""The answer over all studies of a page: what is known, and as loud as that what is not."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from mtlbench.report.analysis.aggregate import Aggregate, Line
from mtlbench.report.analysis.datasets import FEWEST, OverDatasets
from mtlbench.report.analysis.merit import interval, worth
from mtlbench.report.analysis.overview import Overview
from mtlbench.report.analysis.statistics import Paired
from mtlbench.report.page.answers import ONE_SEED, difference_unit, training
from mtlbench.report.tables.comparisons import p_text
from mtlbench.report.tables.header import title
from mtlbench.report.text import clean, number

SHOWN = 6  # differences named in one sentence, and studies in one answer
UNCOMPARED = "Nothing is compared: no study has two seeds or more of hard sharing and of another method."
MANY = 3  # studies from which on what was not found in them is said in one sentence


def headline(overview: Overview) -> str:
    """The page's answer in one line: in how many studies which method differs from hard sharing."""
    told = []
    for word, sign in (("Better", 1), ("worse" if overview.real(1) else "Worse", -1)):
        studies: dict[str, set[str]] = defaultdict(set)
        for result, line, _ in overview.real(sign):
            studies[line.row.method].add(result.study.name)
        counted = sorted(((len(v), k) for k, v in studies.items()), key=lambda x: (-x[0], x[1]))
        of = len(overview.ranked)
        shown = [clean(name, 60) + (f" in {n} of {of} studies" if of > 1 else "") for n, name in counted[:SHOWN]]
        if shown:
            told.append(f"{word} than hard sharing: {', '.join(shown)}")
    return f"{'; '.join(told)}." if told else known(overview)[0]


def known(overview: Overview) -> list[str]:
    """The page's answer, the most important first; every difference said is corrected over all that could have been."""
    if not overview.names:
        return ["No finished run has a figure yet."]
    if not overview.ranked:
        return [ONE_SEED]
    found = [(word, overview.real(sign)) for word, sign in (("Better", 1), ("Worse", -1))]
    told = [s for word, real in found for s in _listed(word, real)]
    if not told:
        compared = any(t.p == t.p for t in overview.tests.values())
        told = [f"No method is shown to differ from hard sharing{_where(overview.ranked)}." if compared else UNCOMPARED]
    return told + [s for over in overview.over for s in _over(over)]


def unknown(overview: Overview) -> list[str]:
    """What these records do not say, so that nobody reads it into the table."""
    single = [title(r.study) for r in overview.results if len(r.study.seeds) == 1]
    told = []
    if single and overview.ranked:
        told.append(f"One seed, so no ranking: {'; '.join(single)}.")
    elif single:
        told.append(
            "Whether any method differs from another: with one seed there is no interval and no test. "
            "More seeds (`--seeds 0,1,2`) would say."
        )
    told += _untested(overview) + _open(overview) + [*_untrained(overview)]
    told += [s for over in overview.over for s in _not_over(over)]
    if overview.results and not overview.over:
        told.append(f"Nothing is said over data sets: that takes {FEWEST} of one protocol, with two seeds or more.")
    return told


def _where(results: Sequence[Aggregate]) -> str:
    return f" in {title(results[0].study)}" if len(results) == 1 else f" in any of {len(results)} studies"


def _listed(word: str, real: Sequence[tuple[Aggregate, Line, Paired]]) -> Iterator[str]:
    """A sentence for each study, the one with the largest difference first."""
    studies: dict[str, list[tuple[Aggregate, Line, Paired]]] = defaultdict(list)
    for each in real:
        studies[each[0].study.name].append(each)
    for own in list(studies.values())[:SHOWN]:
        result = own[0][0]
        decimals, unit = difference_unit(result)
        told = [
            f"{line.label} {interval(t.difference, decimals)} (p {p_text(t.corrected)})" for _, line, t in own[:SHOWN]
        ]
        more = f" and {len(own) - SHOWN} more" if len(own) > SHOWN else ""
        yield f"{word} than hard sharing in {title(result.study)}, {training(result)}: {', '.join(told)}{more}; {unit}."
    if len(studies) > SHOWN:
        yield f"{word} than hard sharing in {len(studies) - SHOWN} more studies, marked in the table."


def _over(found: OverDatasets) -> Iterator[str]:
    """What holds over several data sets."""
    real = [e for e in found.effects if e.test.real]
    sets = f"{len(found.datasets)} data sets ({', '.join(found.datasets)})"
    for effect in sorted(real, key=lambda e: -abs(e.test.difference.mean)):
        word = "better" if effect.test.difference.mean > 0 else "worse"
        gain = f"{number(effect.gain.figure, 1, sign=True)} points of Δ, p {p_text(effect.test.corrected)}"
        yield f"Over {sets} {effect.label} is {word} than hard sharing ({gain})."


def _not_over(found: OverDatasets) -> Iterator[str]:
    """What was not found over data sets, each of which is one observation."""
    left = [e for e in found.effects if not e.test.real]
    if left:
        sizes = [e.test.detectable for e in left if math.isfinite(e.test.detectable)]
        size = f"; one of {_range(sizes, 1)} points of Δ would have been with a chance of 80 %" if sizes else ""
        sets = f"{len(found.datasets)} ({', '.join(found.datasets)})"
        names = ", ".join(e.label for e in left[:SHOWN]) + (
            f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        )
        yield f"Data sets in general: over {sets} no difference to hard sharing is shown of {names}{size}."


def _range(values: Sequence[float], decimals: int) -> str:
    low, high = number(min(values), decimals), number(max(values), decimals)
    return low if low == high else f"{low} to {high}"


def _untested(overview: Overview) -> list[str]:
    """Methods with a figure, but with too few seeds in common with hard sharing for a test."""
    told = []
    for result in overview.ranked:
        shared = result.line("shared")
        tested = {name for (study, name), t in overview.tests.items() if study == result.study.name and t.p == t.p}
        lines = {n: x for n in overview.names if (x := overview.line(result, n)) and worth(result, x)}
        left = [x.label for n, x in lines.items() if x is not shared and n not in tested]
        if left and shared is not None:
            told.append(f"{title(result.study)}: whether {' or '.join(left)} differs from hard sharing; "
                        "too few seeds in common for a test.")  # fmt: skip
    return told


def _open(overview: Overview) -> list[str]:
    """The differences to hard sharing that were not found, and how large they would have had to be: study by study, or of
    many studies in one sentence."""
    found: dict[tuple[int, str], list[tuple[str, list[float]]]] = defaultdict(list)
    for result in overview.ranked:
        own = [t for (study, _), t in overview.tests.items() if study == result.study.name and not t.real]
        if sizes := [t.detectable for t in own if math.isfinite(t.detectable)]:
            found[difference_unit(result)].append((title(result.study), sizes))
    return [s for (decimals, unit), each in found.items() for s in _not_found(each, decimals, unit)]


def _not_found(each: Sequence[tuple[str, Sequence[float]]], decimals: int, unit: str) -> Iterator[str]:
    told = [
        (f"{name}: {f'{len(sizes)} methods are' if len(sizes) > 1 else 'one method is'}", sizes) for name, sizes in each
    ]
    if len(each) > MANY:
        every = [x for _, sizes in each for x in sizes]
        told = [(f"In {len(every)} comparisons of {len(each)} studies methods are", every)]
    for which, sizes in told:
        yield (
            f"{which} not told apart from hard sharing, which does not make them equal; a difference of "
            f"{_range(sizes, decimals)} {unit} would have been found with a chance of 80 %."
        )


def _untrained(overview: Overview) -> Iterator[str]:
    """Studies whose comparison lacks its baseline, or compares unequal training."""
    for result in overview.results:
        if result.line("shared") is None:
            yield f"{title(result.study)}: no run of hard sharing, so there is no baseline to test against."
        elif result.study.config.get("budget") == "final" and not any(x.controlled for x in result.lines):
            yield (
                f"{title(result.study)}: methods train longer than hard sharing there (budget final), and no run gives it "
                "the same; a gain may be that of training."
            )
