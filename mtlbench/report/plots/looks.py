"""Colour and marker of a method: by its name alone, so that it looks the same in every figure of every report.

The built-in methods' are fixed in looks.json (the harness names no method), the anchors' with markers of their own; any
other name has the pair that its hash picks, or the next one that no built-in has. Rows of one method with other options, and
controls, share its colour and marker and are hollow.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.trials import named
from mtlbench.report.reading.studies import Row

INK, GREY = "#222222", "#7F7F7F"
# Okabe and Ito (2008) without yellow, which is too light for paper; the two anchors are black and grey
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("s", "o", "^", "D", "v", "P", "X", "<", ">", "p", "h", "d", "*")


class Look(NamedTuple):
    """A colour, a marker's letter, and whether it is drawn hollow: 0 for the row of the method's own name, as the one that
    trials chose has it beside other studies, then variants."""

    colour: str
    marker: str
    variant: int = 0


TABLE = Path(__file__).with_name("looks.json")
BUILT_IN = {name: Look(*pair) for name, pair in json.loads(TABLE.read_text(encoding="utf-8")).items()}
PAIRS = [(c, m) for m in MARKERS[2:] for c in COLOURS]  # for all others; the anchors' markers are theirs alone


def look(method: str, taken: Collection[tuple[str, str]] = ()) -> Look:
    """The look of a method; `taken` pairs are another's already."""
    if method in BUILT_IN:
        return BUILT_IN[method]
    digest = hashlib.sha256(method.encode("utf-8", "replace")).digest()
    start = int.from_bytes(digest[:4], "big") % len(PAIRS)
    others = {*taken, *(x[:2] for x in BUILT_IN.values())}
    return Look(*next((p for p in (*PAIRS[start:], *PAIRS[:start]) if p not in others), PAIRS[start]))


def looks(results: Iterable[Aggregate]) -> dict[str, Look]:
    """The look of each label: methods whose hashes meet in one report go on to the next free pair, by name."""
    rows: dict[str, Row] = {}
    names: dict[str, str] = {}  # of a label: what the row is called beside other studies
    for result in results:
        rows |= {x.label: x.row for x in result.lines}
        names |= {x.label: x.label for x in result.lines} | {x.label: name for name, x in named(result).items()}
    methods: dict[str, Look] = {}
    for method in sorted({row.method for row in rows.values()}):
        methods[method] = look(method, {x[:2] for x in methods.values()})
    variants: dict[str, list[str]] = {}
    for label, row in sorted(rows.items(), key=lambda x: (x[1].role != "study", names[x[0]])):
        own = variants.setdefault(row.method, [])
        own += [names[label]] * (names[label] not in own)
    return {
        label: methods[row.method]._replace(variant=variants[row.method].index(names[label]))
        for label, row in rows.items()
    }


def order(given: Any) -> tuple[int, str, int]:
    """Where a look stands in a legend: the anchors first."""
    colour, marker, variant = given
    places = [x[:2] for x in BUILT_IN.values()]
    pair = (colour, marker)
    return (places.index(pair) if pair in places else len(places), marker, variant)
