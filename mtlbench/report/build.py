"""From a results folder to its tables, figures and page: everything is written from records, and only what changed."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from mtlbench.errors import RecordError
from mtlbench.records import read_each
from mtlbench.report import bootstrap, formats, ranking
from mtlbench.report.aggregate import Aggregate, aggregate
from mtlbench.report.comparisons import rank_table
from mtlbench.report.header import header, title
from mtlbench.report.outcome import Outcome, outcome
from mtlbench.report.ranking import Ranking
from mtlbench.report.select import studies
from mtlbench.report.tables import all_tables
from mtlbench.report.text import clean, markdown

if TYPE_CHECKING:
    from mtlbench.report.plots import Figure

MANIFEST = "manifest.json"
FOLDERS = ("tables", "figures", "runs")  # whatever else lies in the results folder is not ours to touch


@dataclass
class Report:
    """What the records say: studies with their figures, and what could not be read."""

    results: Path
    out: Path
    aggregates: list[Aggregate]
    outcomes: list[Outcome]
    problems: list[str]
    files: list[str] = field(default_factory=list)

    @property
    def warnings(self) -> list[str]:
        """One line for each thing a reader must know before believing a figure."""
        found = [f"unreadable: {clean(p, 400)}" for p in self.problems]
        for result in self.aggregates:
            found += [
                f"{title(result.study)}: {clean(w, 400)}" for w in (*result.study.warnings, *result.test.problems)
            ]
        return found

    def terminal(self) -> list[Any]:
        """What to print with rich: a table a study, and the warnings."""
        from mtlbench.report.terminal import terminal

        return terminal(self)


def read(results: Path, out: Path | None = None) -> Report:
    """Read every record and work out every figure; writes nothing. RecordError where there is no results folder."""
    if not results.is_dir():
        raise RecordError(f"no results folder '{results}' (allowed: a folder that holds records/)")
    with _uncollected():
        outcomes, problems = _outcomes(results)
        aggregates = [aggregate(study) for study in studies(outcomes)]
        for result in aggregates:
            result.test = bootstrap.resample(result)
    return Report(results, out or results, aggregates, outcomes, problems)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the garbage collector: records hold no cycles, and looking for some takes longer than reading them."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _outcomes(results: Path) -> tuple[list[Outcome], list[str]]:
    """Runs reduced one by one: of ten thousand whole records there is never more than one in memory."""
    outcomes: list[Outcome] = []
    problems: list[str] = []
    for run in read_each(results):
        if isinstance(run, str):
            problems.append(run)
        else:
            outcomes.append(outcome(run))
    return outcomes, problems


def write(results: Path, out: Path | None = None) -> Report:
    """Write tables, figures and the page of a results folder under `out` (by default into the folder itself)."""
    from mtlbench.report import page, plots  # matplotlib and the templates are loaded only where they are needed

    report = read(results, out)
    disk = Disk(report.out)
    with _uncollected():
        tables, rankings = _all_tables(disk, report)
        figures = plots.figures(report.aggregates, rankings)
    for figure in figures:
        _figure(disk, figure)
    with _uncollected():
        page.write(disk, report, tables, figures, rankings)
    disk.finish()
    report.files = sorted(disk.files)
    return report


def write_tables(results: Path, out: Path) -> Report:
    """Write the tables alone, and remove nothing."""
    report = read(results, out)
    disk = Disk(report.out)
    _all_tables(disk, report)
    report.files = sorted(disk.files)
    return report


def _all_tables(disk: Disk, report: Report) -> tuple[dict[str, list[formats.Table]], list[Ranking]]:
    tables = {r.study.name: all_tables(r) for r in report.aggregates}
    for result in report.aggregates:
        _tables(disk, result, tables[result.study.name])
    rankings = ranking.rankings(report.aggregates)
    for found in rankings:
        _ranking(disk, found)
    return tables, rankings


class Disk:
    """Writes what changed, remembers what it wrote, and removes what an earlier report wrote and this one does not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: set[str] = set()
        self.hashes: dict[str, str] = {}
        try:
            old: Any = json.loads((root / MANIFEST).read_text())
            self.before = {str(f) for f in old["files"]}
            self.drawn = {str(k): str(v) for k, v in old["figures"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            self.before, self.drawn = set(), {}

    def put(self, name: str, content: str | bytes) -> None:
        """Write a file under the root, if it is not there with this content."""
        data = content.encode("utf-8", "replace") if isinstance(content, str) else content
        self.files.add(name)
        path = self.root / name
        try:
            if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        except OSError as error:
            raise RecordError(f"cannot write '{path}': {error.strerror or error}") from error

    def unchanged(self, name: str, digest: str) -> bool:
        """Whether a figure lies there, drawn from the same data; notes it as ours."""
        self.hashes[name] = digest
        files = [f"figures/{name}.{suffix}" for suffix in ("png", "svg")]
        same = self.drawn.get(name) == digest and all((self.root / f).is_file() for f in files)
        if same:
            self.files.update(files)
        return same

    def finish(self) -> None:
        """Remove stale files and write the manifest."""
        for name in sorted(self.before - self.files):
            parts = PurePosixPath(name).parts
            if len(parts) == 2 and parts[0] in FOLDERS and parts[1] not in (".", ".."):
                (self.root / name).unlink(missing_ok=True)
        content = {"files": sorted(self.files), "figures": dict(sorted(self.hashes.items()))}
        self.put(MANIFEST, json.dumps(content, indent=1) + "\n")


def _tables(disk: Disk, result: Aggregate, tables: Sequence[formats.Table]) -> None:
    """A study's tables: one Markdown file, and a CSV and a LaTeX file a table."""
    warnings = [*result.study.warnings, *result.test.problems]
    above = header(result)
    disk.put(f"tables/{result.study.name}.md", document(title(result.study), above, tables, warnings))
    lines = [title(result.study), *(f"{label}: {text}" for label, text in above)]
    for table in tables:
        disk.put(f"tables/{result.study.name}-{table.name}.csv", formats.to_csv(table))
        disk.put(f"tables/{result.study.name}-{table.name}.tex", formats.to_latex(table, lines))


def document(
    name: str, above: Iterable[tuple[str, str]], tables: Iterable[formats.Table], warnings: Iterable[str] = ()
) -> str:
    """A study's Markdown file."""
    lines = "".join(f"- {label}: {_code(text) if label == 'Command' else markdown(text)}\n" for label, text in above)
    notes = "".join(f"\n> Warning: {markdown(w)}\n" for w in warnings)
    body = "\n".join(formats.to_markdown(t) for t in tables)
    return f"## {markdown(name)}\n\n{lines}{notes}\n{body}"


def _code(text: str) -> str:
    return f"`{text}`" if "`" not in text else markdown(text)


def _ranking(disk: Disk, found: Ranking) -> None:
    table = rank_table(found.ranks)
    said = [
        ("Data sets", ", ".join(found.datasets)),
        ("Left out, not in all of them", ", ".join(found.left_out) or "none"),
    ]
    said = [(name, clean(text, 2000)) for name, text in said]
    disk.put(f"tables/{found.name}.md", document(found.title, said, [table]))
    disk.put(f"tables/{found.name}.csv", formats.to_csv(table))
    disk.put(f"tables/{found.name}.tex", formats.to_latex(table, [found.title, *(f"{k}: {v}" for k, v in said)]))


def _figure(disk: Disk, figure: Figure) -> None:
    """Draw a figure if its data changed."""
    if not disk.unchanged(figure.name, figure.hash):
        for suffix, data in figure.draw().items():
            disk.put(f"figures/{figure.name}.{suffix}", data)
