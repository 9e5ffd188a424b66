"""Figures: `data` reduces a study to JSON, `draw` turns that into a picture; what did not change is not drawn again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.fronts import Front
from mtlbench.report.analysis.ranking import Ranking
from mtlbench.report.analysis.sweeps import Sweep
from mtlbench.report.plots import (
    bars,
    classified,
    critical,
    curves,
    fronts,
    looks,
    pareto,
    policies,
    sample_sheets,
    samples,
    scaling,
    style,
    sweeps,
    transfer,
    trees,
    trials,
)
from mtlbench.report.text import clean
from mtlbench.tasks import pictures

STUDY: Mapping[str, ModuleType] = {
    "delta": pareto,
    "metrics": bars,
    "transfer": transfer,
    "curves": curves,
    "policies": policies,
    "trees": trees,
    "tuning": trials,
    "gallery": samples,
    "classified": classified,
}
WIDE = ("gallery", "classified")
KINDS: Mapping[str, ModuleType] = {**STUDY, "scaling": scaling, "ranks": critical, "front": fronts, "over": sweeps}


@cache
def _source(kind: str) -> str:
    """A digest of the code that draws it: a figure whose drawing changed is drawn again."""
    files = (
        KINDS[kind].__file__,
        style.__file__,
        looks.__file__,
        looks.TABLE,
        sample_sheets.__file__,
        pictures.__file__,
    )
    return hashlib.sha256(b"".join(Path(str(f)).read_bytes() for f in files)).hexdigest()


@dataclass(frozen=True)
class Figure:
    """A figure to draw: its file name, what it shows in words, and the data that decides its picture."""

    name: str
    kind: str
    study: str
    alt: str
    content: Mapping[str, Any]

    @property
    def wide(self) -> bool:
        """Whether it needs a page's whole width."""
        return self.kind in WIDE

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The endings of its files: what is no sheet of pictures is drawn for a narrow screen too."""
        return ("png", "svg") if self.wide else ("png", "svg", "narrow.svg")

    @property
    def hash(self) -> str:
        """Of everything that decides the picture: the data, the code that draws it, and matplotlib's version."""
        import matplotlib

        data = [self.kind, self.content, _source(self.kind), matplotlib.__version__]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode("utf-8", "replace")).hexdigest()[:16]

    def draw(self) -> dict[str, bytes]:
        """Its pictures by ending."""
        draw: Callable[[Mapping[str, Any]], Any] = KINDS[self.kind].draw
        with style.context():
            found = style.images(draw(self.content))
            if not self.wide:
                with style.phone():
                    found |= style.images(draw(self.content))
        return found


def figures(
    results: Iterable[Aggregate],
    rankings: Iterable[Ranking] = (),
    over_weights: Iterable[Front] = (),
    over_numbers: Iterable[Sweep] = (),
) -> list[Figure]:
    """Every figure of every study that has data for it, then those over several studies."""
    results = list(results)
    order = looks.looks(results)
    found = []
    for result in results:
        for kind, module in STUDY.items():
            content = module.data(result, order)
            if content is not None:
                name = f"{result.study.name}-{kind}"
                found.append(Figure(name, kind, result.study.name, module.TITLE, {**content, "note": note(result)}))
    for study, content in scaling.data(results, order):
        found.append(Figure(f"{study}-scaling", "scaling", study, scaling.TITLE, content))
    for ranking in rankings:
        found.append(Figure(ranking.name, "ranks", "", critical.TITLE, critical.data(ranking.ranks)))
    for front in over_weights:
        found.append(Figure(front.name, "front", "", fronts.TITLE, fronts.data(front, order)))
    for sweep in over_numbers:
        found.append(Figure(sweep.name, "over", "", sweeps.TITLE, sweeps.data(sweep, order)))
    return found


def note(result: Aggregate) -> str:
    """What a figure that leaves the page must still say of itself."""
    said = []
    if len(result.study.seeds) == 1:
        said.append("one seed: no ranking")
    if result.study.oracle:
        said.append("best-test-oracle: CHOSEN ON THE TEST SPLIT")
    if any(t.derived for t in result.study.tasks):
        said.append("derived targets: " + ", ".join(clean(t.name, 30) for t in result.study.tasks if t.derived))
    return "; ".join(said)
