"""The page: index.html with everything a reader asks first, and one page a row with its runs. Opens from disk alone."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape

from mtlbench.report.analysis.aggregate import Aggregate, Line
from mtlbench.report.analysis.merit import apart, chosen, costs, merit, ranked, shown
from mtlbench.report.page.answers import QUESTION, answer
from mtlbench.report.page.overall import headline, known, unknown
from mtlbench.report.page.panel import panel
from mtlbench.report.page.rows import row_file, row_view
from mtlbench.report.plots.looks import Look
from mtlbench.report.plots.looks import looks as all_looks
from mtlbench.report.tables.comparisons import rank_table
from mtlbench.report.tables.formats import BEST, SECOND, Cell, Column, Table, spans
from mtlbench.report.tables.header import header, title
from mtlbench.report.tables.naming import label
from mtlbench.report.tables.overview import effects_table, overview_table
from mtlbench.report.tables.sections import sections
from mtlbench.report.text import SCALES, as_float, clean, coded, minus, number, seen

if TYPE_CHECKING:
    from mtlbench.report.analysis.ranking import Ranking
    from mtlbench.report.disk import Disk
    from mtlbench.report.plots.figures import Figure
    from mtlbench.report.report import Report

INLINE = 3 * 2**19  # bytes of figures inside the page; those beyond are linked, so that a large page opens at once
TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> jinja2.Environment:
    """The templates, with every value escaped."""
    loader = jinja2.FileSystemLoader(TEMPLATES)
    made = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined, finalize=seen
    )
    made.filters["prose"] = _prose
    return made


def _prose(text: str) -> Markup:
    """A sentence of ours, its commands and options as code."""
    return Markup(coded(seen(text), lambda part: escape(minus(part)), lambda part: f"<code>{escape(part)}</code>"))


@cache
def assets() -> Mapping[str, Any]:
    """Style and script as they stand in the page; only a script of this hash may run."""
    css, js, panels = ((TEMPLATES / n).read_text(encoding="utf-8") for n in ("style.css", "script.js", "panel.js"))
    js += panels
    digest = base64.b64encode(hashlib.sha256(js.encode()).digest()).decode()
    return {"css": Markup(css), "js": Markup(js), "hash": digest}


def write(
    disk: Disk,
    report: Report,
    tables: Mapping[str, Sequence[Table]],
    figures: Iterable[Figure],
    rankings: Iterable[Ranking],
) -> None:
    """Write index.html and the pages of the rows."""
    pictures, looks = _pictures(disk, figures), all_looks(report.aggregates)
    studies = [_study(r, tables[r.study.name], pictures.get(r.study.name, []), looks) for r in report.aggregates]
    across = [_across(r.name, r.title, rank_table(r.ranks), pictures.get("", [])) for r in rankings]
    across += [_across(r.name, r.title, effects_table(r), []) for r in report.overview.over]
    across += [_across(s.name, s.title, s.table, pictures.get("", [])) for s in sections(report)]
    counts = _counts(report, len(studies))
    content = {"studies": studies, "across": across, "warnings": report.warnings, "counts": counts}
    content["without"] = report.without
    content |= _first_screen(report) | {"jumps": [(x["title"], x["id"]) for x in (*across, *studies)]}
    page = environment().get_template("index.html")
    disk.put("index.html", page.render(title="mtlbench report", question=QUESTION, assets=assets(), **content))
    row = environment().get_template("row.html")
    disk.announce(f"runs/{row_file(result.study, line.row)}" for result in report.aggregates for line in result.lines)
    for result in report.aggregates:
        study = {"id": result.study.name, "title": title(result.study)}
        for line in result.lines:
            text = row.render(assets=assets(), study=study, **row_view(result, line))
            disk.put(f"runs/{row_file(result.study, line.row)}", text)


def _counts(report: Report, studies: int) -> str:
    """How many runs and trials the page stands on."""
    trials = sum(r.role == "tune" for r in report.runs)
    counted = [(len(report.runs) - trials, "run", "runs"), (trials, "trial of tuning", "trials of tuning")]
    told = " and ".join(f"{n:,} {one if n == 1 else more}" for n, one, more in counted if n or one == "run")
    return f"{told} in {studies} stud{'y' if studies == 1 else 'ies'}"


def _pictures(disk: Disk, figures: Iterable[Figure]) -> dict[str, list[dict[str, Any]]]:
    """Figures by study, inside the page as long as there is room."""
    found: dict[str, list[dict[str, Any]]] = {}
    room = INLINE
    for figure in figures:
        data = base64.b64encode((disk.root / f"figures/{figure.name}.svg").read_bytes()).decode()
        room -= len(data)
        source = f"data:image/svg+xml;base64,{data}" if room >= 0 else f"figures/{figure.name}.svg"
        found.setdefault(figure.study, []).append(
            {
                "name": figure.name,
                "src": source,
                "alt": figure.alt,
                "wide": figure.wide,
                "narrow": "" if figure.wide else f"figures/{figure.name}.narrow.svg",
            }
        )
    return found


def _first_screen(report: Report) -> dict[str, Any]:
    """One table over all studies, what is known, and what is not."""
    whole = report.overview
    content: dict[str, Any] = {
        "headline": headline(whole),
        "known": known(whole),
        "unknown": unknown(whole),
        "overview": None,
    }
    if whole.names:
        table = overview_table(whole)
        files = [("CSV", "tables/overview.csv"), ("LaTeX", "tables/overview.tex"), ("Markdown", "tables/overview.md")]
        content["overview"] = {**view(table, "t-overview", {}, {}), "files": files}
    return content


def _study(
    result: Aggregate, tables: Sequence[Table], figures: list[dict[str, Any]], looks: dict[str, Look]
) -> dict[str, Any]:
    study = result.study
    links = {label(x): f"runs/{row_file(study, x.row)}" for x in result.lines}
    links |= {x.label: f"runs/{row_file(study, x.row)}" for x in result.lines}
    kinds = {label(x): "control" for x in result.lines if x.row.role == "control"} | {"constant predictor": "constant"}
    views = [{**view(t, f"t-{study.name}-{t.name}", links, kinds), "files": _files(study.name, t)} for t in tables]
    scale, letter = _scale(result)
    candidates = _candidates(result, scale)
    return {
        "id": study.name,
        "title": title(study),
        "answer": answer(result),
        "facts": header(result),
        "how": _how(result),
        "panel": panel(result, looks),
        "tables": views,
        "figures": figures,
        "seeds": len(study.seeds),
        "timed": bool(result.timed),
        "candidates": json.dumps(candidates) if candidates else "",
        "macs_letter": letter,
    }


def _files(study: str, table: Table) -> list[tuple[str, str]]:
    return [(kind, f"tables/{study}-{table.name}.{suffix}") for kind, suffix in (("CSV", "csv"), ("LaTeX", "tex"))]


def _scale(result: Aggregate) -> tuple[float, str]:
    """In what multiply-adds are asked for: of a small network in M, not in thousandths of a G."""
    most = max((line.costs["macs"].mean for line in result.lines if "macs" in line.costs), default=0.0)
    return next(((s, p) for s, p in SCALES if most >= s), (1.0, ""))


def _candidates(result: Aggregate, scale: float) -> list[dict[str, Any]]:
    """What the form of limits chooses from, best first."""
    lines = ranked(result)
    return [
        {
            "id": i,
            "label": line.label,
            "figure": minus(shown(merit(result), chosen(result, line))),
            "costs": costs(line),
            "ratio": _cost(line, "parameters_ratio", 1.0),
            "macs": _cost(line, "macs", scale),
            "latency": _cost(line, "latency_ms", 1.0),
            "close": [j for j in range(i + 1, len(lines)) if not apart(result, line, lines[j])],
        }
        for i, line in enumerate(lines)
    ]


def _cost(line: Line, name: str, unit: float) -> float | None:
    cost = line.costs.get(name)
    return cost.mean / unit if cost is not None and cost.n else None


def _how(result: Aggregate) -> str:
    """The facts of a study in one line."""
    config, seeds = result.study.config, len(result.study.seeds)
    steps = as_float(config.get("steps"))
    told = ["one seed" if seeds == 1 else f"{seeds} seeds", f"{number(steps, 0)} steps" if steps else "unknown steps"]
    told += [
        f"{name} {clean(config[name], 30)}"
        for name in ("budget", "preset", "backbone", "selection")
        if config.get(name)
    ]
    return ", ".join(told)


def _across(name: str, heading: str, table: Table, figures: list[dict[str, Any]]) -> dict[str, Any]:
    """A table over several studies, with its figure."""
    shown = view(table, f"t-{name}", {}, {})
    return {"id": name, "title": heading, "table": shown, "figures": [f for f in figures if f["name"] == name]}


def view(table: Table, name: str, links: Mapping[str, str], kinds: Mapping[str, str]) -> dict[str, Any]:
    """A table as the template needs it: what is of no task, such as Δ over all of them, stands first, where it is seen."""
    order = sorted(range(len(table.columns)), key=lambda i: table.grouped and table.columns[i].group != "")
    table = replace(
        table,
        columns=[table.columns[i] for i in order],
        rows=[(text, [cells[i] for i in order]) for text, cells in table.rows],
    )
    found = spans(table.columns)
    groups = [{"name": g, "span": n, "index": i} for i, (g, n) in enumerate(found)]
    index = [i for i, (_, n) in enumerate(found) for _ in range(n)]
    edges = [i == 0 or index[i] != index[i - 1] for i in range(len(index))] if table.grouped else [False] * len(index)
    columns = [_head(*x) for x in zip(table.columns, index, edges, strict=True)]
    for i, column in enumerate(columns):  # a column of sentences is read from its left edge
        column["css"] += " text" * any(_is_text(cells[i]) for _, cells in table.rows)
    rows = [
        {
            "label": text,
            "href": links.get(text),
            "kind": kinds.get(text, ""),
            "cells": [_cell(*x) for x in zip(cells, table.columns, index, edges, strict=True)],
        }
        for text, cells in table.rows
    ]
    common = {"id": name, "title": table.title, "first": table.first, "notes": table.notes, "grouped": table.grouped}
    return {**common, "files": [], "groups": groups, "columns": columns, "rows": rows}


def _head(column: Column, group: int, edge: bool) -> dict[str, Any]:
    head = column.title.replace(f"{column.unit}) ", f"{column.unit})\u00a0")  # unit and arrow stay together
    css = "first-of-group" if edge else ""
    return {"title": head, "group": group, "css": css, "sort": "up" if column.higher is False else "down"}


def _is_text(cell: Cell) -> bool:
    return isinstance(cell.value, str) and len(cell.value) > 24


_SAID = {BEST: "best", SECOND: "second best"}


def _cell(cell: Cell, column: Column, group: int, edge: bool) -> dict[str, Any]:
    css = [cell.mark] * bool(cell.mark) + ["first-of-group"] * edge
    if isinstance(cell.value, str):
        css += ["text"] * _is_text(cell)
        return {"text": clean(cell.value, 2000), "value": None, "css": " ".join(css), "said": "", "group": group}
    value = f"{cell.value.mean:.10g}" if cell.value.n and math.isfinite(cell.value.mean) else ""
    return {
        "text": minus(cell.show(column)).replace(", ", ",\u00a0"),  # an interval stays in one piece
        "value": value,
        "css": " ".join(css),
        "said": _SAID.get(cell.mark),
        "group": group,
    }
