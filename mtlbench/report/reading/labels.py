"""What a table calls a method's row: by its name, and by what tells it from the method's other rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.reading.settings import TUNED, settings
from mtlbench.report.text import as_float, clean


def row_labels(grouped: Mapping[tuple[str, ...], Sequence[ReportedRun]]) -> dict[tuple[str, ...], str]:
    """A label for each row: the method, and the settings that tell it from the method's other rows."""
    labels: dict[tuple[str, ...], str] = {}
    found = {key: dict(settings(runs[0])) for key, runs in grouped.items()}
    for key, runs in grouped.items():
        flat = found[key]
        names = _telling(flat, [other for k, other in found.items() if k[:2] == key[:2] and k != key])
        told = ", ".join(f"{clean(n, 40)}={clean(flat.get(n, '-'), 40)}" for n in names)
        label = clean(runs[0].method, 60) + (f" ({told})" if told else "")
        if runs[0].role == "control":
            label += f" [{_control(runs)}]"
        same = sum(x == label or x.startswith(f"{label} #") for x in labels.values())
        labels[key] = f"{label} #{same + 1}" if same else label
    return labels


def _telling(own: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """The options in which a row differs from others, and of what is tuned only what it takes to tell it from them."""
    differing = sorted({n for o in others for n in {*o, *own} if o.get(n) != own.get(n)})
    names = [n for n in differing if not _is_tuned(n)]
    for name in sorted((n for n in differing if _is_tuned(n)), key=lambda n: (n != "lr", n)):
        alike = [o for o in others if all(o.get(n) == own.get(n) for n in names)]
        if any(o.get(name) != own.get(name) for o in alike):
            names.append(name)
    return sorted(names)


def _is_tuned(name: str) -> bool:
    return name.partition(".")[0] in TUNED


def _control(runs: Sequence[ReportedRun]) -> str:
    """Whose training a control is given, and how many steps that is: on average, where seeds differ."""
    run = runs[0]
    taken = [x for r in runs if (x := as_float(r.config.get("steps")))]
    steps = sum(taken) / len(taken) if taken else None
    kind = {"steps": "total steps", "flops": "training FLOPs"}.get(run.control_kind or "")
    told = f"control: {run.control_of}'s {kind}" if run.control_of and kind else "control"
    return f"{told}, {steps:,.0f} steps" if steps else told
