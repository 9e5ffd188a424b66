"""results/tuning/README.md: which trial chose which value of which preset, drawn from the records of trials beside it.

python -m tests.helpers.tuning_page

A preset is where every method starts, so its values are those of the trial that is best for single-task and hard sharing
together: the points of the first coordinates are the same for all methods. What is best for each method by itself is in
the report's table of tuning.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mtlbench import plugins
from mtlbench.config import RunConfig
from mtlbench.records import Run, read_each

ROOT = Path(__file__).parents[2] / "results/tuning"
ANCHORS = ("independent", "shared")
SAME = ("dataset", "preset", "tasks", "backbone", "width", "batch_size", "steps", "optimizer", "schedule", "budget")
NUMBERS = ("lr", "weight_decay", "dropout")

HEAD = """# What chose the presets' values

`records/` holds the trials, written by

```
mtlbench run --methods single-task,hard-sharing --dataset NAME --data-dir DIR --preset standard --tune 8 --seeds 0 \\
    --out results/tuning
```

and never edited (weights and pictures are not kept). A preset is where every method starts, so it holds what the trial with
the best mean score over single-task and hard sharing has; `mtlbench report results/tuning` says what was best for each alone.
This page is drawn from the records by `python -m tests.helpers.tuning_page`, and `tests/study/test_presets_chosen.py` holds
that it is, and that each preset's values are those of the trial that is named here, to 5 %.
"""
NONE = """
**There are no trials yet.** The learning rates, weight decays, dropouts and weights of `quick` and `standard` were set by
hand, or by searches whose records were not kept, and no table claims more of them than that every method has the same ones
(`--tune` gives each method its own). The `paper` presets' are the papers'.
"""


@dataclass(frozen=True)
class Trial:
    """One point, run by both anchors on every seed."""

    number: int
    score: float
    error: float  # of the score over the validation split's images
    values: Mapping[str, Any]  # NUMBERS, and the tasks' weights, whose mean is 1


@dataclass(frozen=True)
class Chosen:
    """The trials of one preset: `best` is whose values it is to hold."""

    config: Mapping[str, Any]
    seeds: tuple[int, ...]
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The trial with the highest score, the earlier of two."""
        return max(self.trials, key=lambda t: (t.score, -t.number))

    @property
    def name(self) -> str:
        """The preset and what was trained."""
        return f"{self.config['dataset']} ({', '.join(self.config['tasks'])}), {self.config['preset']}"


def chosen(root: Path = ROOT) -> list[Chosen]:
    """Every preset that has trials of both anchors, from the records in a folder."""
    runs = [r for r in read_each(root) if r.start.role == "tune" and r.start.anchor in ANCHORS]
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[repr([run.start.config.get(key) for key in SAME])].append(run)
    return [found for _, group in sorted(groups.items()) if (found := _chosen(group)) is not None]


def _chosen(runs: Sequence[Run]) -> Chosen | None:
    """The trials that both anchors finished on every seed."""
    wanted = {(a, s) for a in ANCHORS for s in {r.start.seed for r in runs}}
    numbered: dict[int, list[Run]] = defaultdict(list)
    for run in runs:
        final = run.final("val")
        if run.status == "finished" and run.start.trial is not None and final is not None and final.gain is not None:
            numbered[run.start.trial].append(run)
    complete = {n: own for n, own in numbered.items() if {(r.start.anchor, r.start.seed) for r in own} == wanted}
    found = tuple(_trial(n, own) for n, own in sorted(complete.items()))
    return Chosen(runs[0].start.config, tuple(sorted({s for _, s in wanted})), found) if found else None


def _trial(number: int, runs: Sequence[Run]) -> Trial:
    finals = [f for r in runs if (f := r.final("val")) is not None]
    score = math.fsum(f.gain or 0.0 for f in finals) / len(finals)
    error = math.fsum(math.nan if f.gain_error is None else f.gain_error for f in finals) / len(finals)
    config = runs[0].start.config
    weights = balanced(config["tasks"], config.get("weights") or {})
    return Trial(number, score, error, {**{k: config[k] for k in NUMBERS}, "weights": weights})


def balanced(tasks: Sequence[str], weights: Mapping[str, float]) -> dict[str, float]:
    """Weights with the mean 1; 1 where a task has none."""
    own = {t: weights.get(t, 1.0) for t in tasks}
    mean = math.fsum(own.values()) / len(own)
    return {t: w / mean for t, w in own.items()}


def held(found: Chosen) -> dict[str, Any]:
    """What the preset holds today, in the same form."""
    preset = plugins.load("datasets", found.config["dataset"]).presets[found.config["preset"]]
    values = {k: preset.get(k, RunConfig.model_fields[k].default) for k in NUMBERS}
    return {**values, "weights": balanced(found.config["tasks"], preset.get("weights", {}))}


def differing(found: Chosen) -> list[str]:
    """The values in which a preset is not what its trials chose."""
    own, best = held(found), found.best.values
    near = partial(math.isclose, rel_tol=0.05, abs_tol=1e-12)
    pairs = {k: (own[k], best[k]) for k in NUMBERS}
    pairs |= {f"weight of {t}": (w, best["weights"][t]) for t, w in own["weights"].items()}
    return [
        f"{found.name}: {k} is {a:.3g}, trial {found.best.number} has {b:.3g}"
        for k, (a, b) in pairs.items()
        if not near(a, b)
    ]


def page(every: Iterable[Chosen]) -> str:
    """The whole page."""
    parts = [part for found in every for part in _part(found)]
    return HEAD + ("\n" + "\n".join(parts) + "\n" if parts else NONE)


def _part(found: Chosen) -> list[str]:
    best, config = found.best, found.config
    rows = [
        f"| {_bold(t.number, t is best)} | {_bold(f'{t.score:.3f}', t is best)} | {t.error:.3f} | {_values(t.values)} |"
        for t in found.trials
    ]
    return [
        f"## {found.name}", "",
        f"{config['backbone']} x {config['width']:g}, {config['steps']} steps of {config['batch_size']}, seeds "
        f"{', '.join(map(str, found.seeds))}. Trial {best.number} chose; the preset holds {_said(held(found))}.", "",
        "| trial | score | standard error | learning rate | weight decay | dropout | weights |",
        "| --: | --: | --: | --: | --: | --: | --- |", *rows, "",
    ]  # fmt: skip


def _bold(text: object, bold: bool) -> str:
    return f"**{text}**" if bold else str(text)


def _values(values: Mapping[str, Any]) -> str:
    return " | ".join([*(f"{values[k]:.3g}" for k in NUMBERS), _weights(values)])


def _weights(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{t} {w:.2f}" for t, w in values["weights"].items())


def _said(values: Mapping[str, Any]) -> str:
    numbers = zip(("learning rate", "weight decay", "dropout"), (values[k] for k in NUMBERS), strict=True)
    return ", ".join([*(f"{name} {value:.3g}" for name, value in numbers), f"weights {_weights(values)}"])


def main() -> None:
    """Draw the page."""
    ROOT.mkdir(exist_ok=True)
    (ROOT / "README.md").write_text(page(chosen()))


if __name__ == "__main__":
    main()
