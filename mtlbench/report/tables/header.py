"""What stands above every table: what was run, how it was chosen, on what, and the command that runs it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.trials import untried
from mtlbench.report.reading.studies import ORACLE, Study
from mtlbench.report.tables.naming import task_name
from mtlbench.report.text import as_float, clean, number

SELECTION = {
    "last": "last step",
    "best-val": "best on validation",
    ORACLE: "best-test-oracle: CHOSEN ON THE TEST SPLIT, optimistic by design",
}
BUDGET = {
    "total": "all phases together",
    "final": "the deployed network's final phase; earlier phases are extra",
    "compute": "every method spends the training FLOPs that hard sharing spends in them",
}


def title(study: Study) -> str:
    """The study in one line."""
    tasks = ", ".join(task_name(t) for t in study.tasks)
    name = f"{clean(study.config.get('dataset', 'data'), 40)}: {tasks}"
    name += f" ({clean(study.apart, 120)})" if study.apart else ""
    return f"{name} [best-test-oracle]" if study.oracle else name


def header(result: Aggregate) -> list[tuple[str, str]]:
    """Label and text of each line."""
    study, config = result.study, result.study.config
    selection = str(config.get("selection", "last"))
    streams = ", each with its own inputs" if len(study.streams) > 1 else ""
    layout = f", layout {found}" if (found := _layouts(study)) else ""
    lines = [
        ("Tasks", ", ".join(map(task_name, study.tasks)) + streams),
        ("Selection", SELECTION.get(selection, selection)),
        ("Budget", _budget(result)),
        ("Seeds", _seeds(study)),
        ("Targets", _targets(study)),
        ("Network", _join(config, "backbone", "width", "head", "dropout", "init", "batchnorm", "pretrained")),
        ("Training", _join(config, "preset", "optimizer", "lr", "weight_decay", "schedule", "warmup", "batch_size")),
        ("Weighting", _join(config, "weighting", "precision")),
        ("Tuning", _tuning(result)),
        ("Device", ", ".join(machines(study)) or study.device),
        ("Data", f"fingerprint {study.fingerprint or 'not recorded'}{layout}"),
        ("Commit", _commits(study)),
    ]
    commands = _most(r.command for r in study.runs)
    lines += [("Command", clean(command, 400)) for command in commands[:4]]
    if len(commands) > 4:
        lines.append(("Command", f"and {len(commands) - 4} more, on the pages of the runs"))
    return [(label, clean(text, 600)) for label, text in lines]


def _budget(result: Aggregate) -> str:
    """The steps that count, and under `final` what each method took in all where that is more."""
    config = result.study.config
    kind, steps = str(config.get("budget", "total")), as_float(config.get("steps"))
    text = f"{number(steps, 0) if steps else 'unknown'} steps, {kind} ({BUDGET.get(kind, '?')})"
    study = [(x.label, x.costs["steps"].mean) for x in result.lines if x.row.role == "study" and "steps" in x.costs]
    more = [f"{label} {number(taken, 0)}" for label, taken in study if steps and taken > steps]
    return f"{text}; steps in all: {', '.join(more)}" if more else text


def _seeds(study: Study) -> str:
    listed = ", ".join(map(str, study.seeds[:12])) + (", …" if len(study.seeds) > 12 else "")
    warning = {1: "; one seed: no intervals, no ranking claim", 2: "; two seeds: intervals are very wide"}
    return f"{len(study.seeds)} ({listed}){warning.get(len(study.seeds), '')}"


def _targets(study: Study) -> str:
    derived = [clean(t.name, 40) for t in study.tasks if t.derived]
    return f"derived: {', '.join(derived)}; the others as labelled" if derived else "as labelled, none derived"


def _tuning(result: Aggregate) -> str:
    trials = result.study.trials
    if not trials:
        return "none"
    steps = sorted({x for r in trials if (x := as_float(r.config.get("steps")))})
    short = f" of {' to '.join(number(s, 0) for s in sorted({steps[0], steps[-1]}))} steps" if steps else ""
    many = f"{len(trials)} trial{'s' * (len(trials) != 1)}"
    told = f"the settings of each method chosen on validation, {many}{short} in all (table of tuning)"
    without = untried(result)
    return f"{told}; without trials of their own: {', '.join(without)}" if without else told


def _join(config: Mapping[str, Any], *names: str) -> str:
    return ", ".join(f"{n.replace('_', ' ')} {clean(v, 40)}" for n in names if (v := config.get(n)) is not None)


def _commits(study: Study) -> str:
    found = _most(r.commit for r in study.runs)
    changed = " (+: with changes that were not committed)" if any(c.endswith("+") for c in found) else ""
    return ", ".join(found) + changed if found else "unknown"


def machines(study: Study) -> list[str]:
    """The processors or accelerators that the runs took, the most frequent first."""
    return [f"{study.device} ({clean(name, 60)})" for name in _most(_machine(r.environment) for r in study.runs)]


def _machine(environment: Mapping[str, Any]) -> str:
    device = str(environment.get("device") or "")
    return str(environment.get("processor") or device) if device.startswith("cpu") else device


def _layouts(study: Study) -> str:
    return ", ".join(_most(r.layout for r in study.runs))


def _most(values: Iterable[str]) -> list[str]:
    """The different values, the most frequent first."""
    counted = Counter(v for v in values if v)
    return sorted(counted, key=lambda v: (-counted[v], v))
