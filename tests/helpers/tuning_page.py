"""results/tuning/README.md: which trial chose which value of which preset, drawn from the records of trials.

python -m tests.helpers.tuning_page

A preset is where every method starts, so its values are those of the trial that is best for single-task and hard sharing
together: the points of the first coordinates are the same for all methods. No preset but the papers' weighs the tasks,
whatever a trial found, for what they weigh is the user's to say.
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

RESULTS = Path(__file__).parents[2] / "results"
ROOT = RESULTS / "tuning"
ANCHORS = ("independent", "shared")
SAME = (
    "dataset",
    "data",
    "preset",
    "tasks",
    "backbone",
    "width",
    "batch_size",
    "steps",
    "optimizer",
    "schedule",
    "budget",
)
NUMBERS = ("lr", "weight_decay", "dropout")
SAID = ("learning rate", "weight decay", "dropout")

HEAD = """# What chose the presets' values

`records/` holds the trials of the `quick` presets, written by

```
mtlbench run --methods single-task,hard-sharing --dataset NAME --data-dir DIR --weighting equal --tune 8 --seeds 0 \\
    --out results/tuning
```

and never edited (weights and pictures are not kept). Those of the `standard` presets are the study's own, in
`results/records`. The space is drawn around trial 0, what the preset held before (`--lr`, `--weight-decay` and `--dropout`
draw it there again). A preset is where every method starts, so it holds what the trial with the best mean score over
single-task and hard sharing has. What tasks weigh is no preset's affair, whatever a trial found, but yours (`--weights`), and
`--tune` moves it: they weigh alike, and on scenes as [docs/scenes.md](../../docs/scenes.md) says, whose trials ran without
`--weighting equal`. Heads of one linear layer (those of vectors, and of a class for a picture) have no inner features to drop,
so dropout is without effect there.
This page is drawn from the records by `python -m tests.helpers.tuning_page`, and `tests/study/test_presets_chosen.py` holds
that it is, and that each preset's values are those of the trial that is named here, to 5 %.
"""
REST = """
The learning rates, weight decays and dropouts of every other `quick` and `standard` preset were set by hand, or by searches
whose records were not kept, and no table claims more of them than that every method has the same ones (`--tune` gives each
method its own). The `paper` presets' are the papers'.
"""


@dataclass(frozen=True)
class Trial:
    """One point, run by both anchors on every seed."""

    number: int
    score: float
    error: float  # of the score over the validation split's images
    values: Mapping[str, Any]  # NUMBERS
    weights: Mapping[str, float] | None  # of the tasks, with the mean 1; None for the data set's own


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


def chosen(*folders: Path) -> list[Chosen]:
    """Every preset that has trials of both anchors, from the records in folders: the project's own where none is given."""
    read = [r for root in folders or (RESULTS, ROOT) for r in read_each(root)]
    runs = [r for r in read if isinstance(r, Run) and r.start.role == "tune" and r.start.anchor in ANCHORS]
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
    weights = balanced(config["weights"]) if config.get("weights") else None
    return Trial(number, score, error, {k: config[k] for k in NUMBERS}, weights)


def balanced(weights: Mapping[str, float]) -> dict[str, float]:
    """Weights with the mean 1."""
    mean = math.fsum(weights.values()) / len(weights)
    return {t: w / mean for t, w in weights.items()}


def preset(found: Chosen) -> Mapping[str, Any]:
    """What the preset says today."""
    own: Mapping[str, Any] = plugins.load("datasets", found.config["dataset"]).presets[found.config["preset"]]
    return own


def held(found: Chosen) -> dict[str, float]:
    """The numbers that the preset holds today."""
    own = preset(found)
    return {k: own.get(k, RunConfig.model_fields[k].default) for k in NUMBERS}


def differing(found: Chosen) -> list[str]:
    """The numbers in which a preset is not what its trials chose, and weights of tasks, which it is not to have."""
    near = partial(math.isclose, rel_tol=0.05, abs_tol=1e-12)
    own, best, name = held(found), found.best, f"{found.name}: "
    numbers = [
        f"{name}{k} is {own[k]:.3g}, trial {best.number} has {best.values[k]:.3g}"
        for k in NUMBERS
        if not near(own[k], best.values[k])
    ]
    return numbers + ([f"{name}weighs tasks"] if "weights" in preset(found) else [])


def page(every: Iterable[Chosen]) -> str:
    """The whole page."""
    parts = [part for found in every for part in _part(found)]
    return HEAD + ("\n" + "\n".join(parts) if parts else "") + REST


def _part(found: Chosen) -> list[str]:
    best, config = found.best, found.config
    rows = [
        f"| {_bold(t.number, t is best)} | {_bold(_score(t.score), t is best)} | {t.error:.3f} | {_values(t)} |"
        for t in found.trials
    ]
    return [
        f"## {found.name}", "",
        f"{config['backbone']} x {config['width']:g}, {config['steps']} steps of {config['batch_size']}, seeds "
        f"{', '.join(map(str, found.seeds))}. Trial {best.number} chose; the preset holds {_said(held(found))}.", "",
        "| trial | score | standard error | learning rate | weight decay | dropout | tasks' weights |",
        "| --: | --: | --: | --: | --: | --: | --- |", *rows, "",
    ]  # fmt: skip


def _bold(text: object, bold: bool) -> str:
    return f"**{text}**" if bold else str(text)


def _score(score: float) -> str:
    return f"{round(score, 3) + 0.0:.3f}"  # no minus before a zero


def _values(trial: Trial) -> str:
    weights = "its own" if trial.weights is None else ", ".join(f"{t} {w:.2f}" for t, w in trial.weights.items())
    return " | ".join([*(f"{trial.values[k]:.3g}" for k in NUMBERS), weights])


def _said(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {values[k]:.3g}" for name, k in zip(SAID, NUMBERS, strict=True))


def main() -> None:
    """Draw the page."""
    ROOT.mkdir(exist_ok=True)
    (ROOT / "README.md").write_text(page(chosen()))


if __name__ == "__main__":
    main()
