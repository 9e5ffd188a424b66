"""Records: one append-only JSON-lines file a run, the only source of tables, figures and pages. Needs no torch.

A run's folder is `records/<method>-<dataset>-s<seed>-<hash>/`; its `record.jsonl` holds lines of the kinds below, in the
order things happened. A reader survives a cut-off last line, drops what a resumed attempt had written past the point it
resumed from, and takes the newest finished attempt (else the newest).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mtlbench.errors import RecordError
from mtlbench.records.files import digest, is_name
from mtlbench.records.lines import FILE, SCHEMA, AnyLine, ArtefactLine, Cost, End, Eval, Log, Resume, SideBySide, Start
from mtlbench.records.sealing import Chain, is_sealed

_ADAPTER: TypeAdapter[AnyLine] = TypeAdapter(AnyLine)


@dataclass
class Run:
    """One run as read: the attempt that counts."""

    folder: Path
    start: Start
    logs: list[Log] = field(default_factory=list)
    evals: list[Eval] = field(default_factory=list)
    cost: Cost | None = None
    latency: SideBySide | None = None
    artefacts: list[ArtefactLine] = field(default_factory=list)
    end: End | None = None
    notes: list[str] = field(default_factory=list)  # of the times it was taken up again

    @property
    def status(self) -> str:
        """ "finished", "diverged", "failed", or "unfinished" where the record has no end."""
        return self.end.status if self.end else "unfinished"

    def final(self, split: str = "test") -> Eval | None:
        """The evaluation of what was deployed."""
        return next((e for e in reversed(self.evals) if e.purpose == "final" and e.split == split), None)

    def rules(self, split: str = "test") -> dict[str, Eval]:
        """What each rule of selection deploys on a split: the run's own, and those read off the same training."""
        others = {e.rule: e for e in self.evals if e.purpose == "rule" and e.split == split}
        own = self.final(split)
        return others if own is None else {str(self.start.config.get("selection", "last")): own, **others}

    def constant(self, split: str = "test") -> Eval | None:
        """The constant predictor on the same split."""
        return next((e for e in reversed(self.evals) if e.purpose == "constant" and e.split == split), None)


def read_lines(path: Path) -> list[AnyLine]:
    """All whole lines of a record; a damaged one that is not the last of an attempt is a RecordError naming it."""
    try:
        if path.exists() and not path.is_file():
            raise RecordError(f"record '{path}' is not a file")  # a pipe would be waited for without end
        raw = path.read_bytes()
    except OSError as error:
        raise RecordError(f"cannot read record '{path}': {error.strerror or error}") from error
    lines: list[AnyLine] = []
    texts, chain = raw.split(b"\n"), Chain()
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        try:
            line = _line(text, path, number, chain)
        except (ValueError, RecursionError) as error:
            if _is_cut_off(text, texts[number:], chain):
                continue
            raise RecordError(f"record '{path}' line {number} is damaged: {error}") from error
        lines.append(line)
        chain.add(text)
    return lines


def _line(text: bytes, path: Path, number: int, chain: Chain) -> AnyLine:
    """The line that a text holds; ValueError where it is not what was written."""
    if is_sealed(text) and not chain.fits(text):
        raise ValueError("its checksum does not fit, or a line before it is missing")
    return _quickly(text) or _validate(json.loads(text.decode("utf-8")), path, number)


def _is_cut_off(text: bytes, rest: Sequence[bytes], chain: Chain) -> bool:
    """Whether a kill, not a bad disk, left the line so: the last one, without its end or what follows it.

    Older writers ended such a line and went on behind it with a resume or start line; now it is taken away.
    """
    if not rest:
        return not chain.fits(text[:-1])  # a whole line, and the line break is what is damaged
    return not is_sealed(text) and _starts_anew(rest[0])


def _quickly(text: bytes) -> AnyLine | None:
    """A sound line of our schema, parsed and validated in one go; None sends it the slow way, which finds the words."""
    try:
        line: AnyLine = _ADAPTER.validator.validate_json(
            text
        )  # the adapter's own method looks at much that is not given
    except ValidationError:
        return None
    return None if isinstance(line, Start) and line.schema_version != SCHEMA else line


def _starts_anew(text: bytes) -> bool:
    return not text.strip() or b'"kind":"resume"' in text or b'"kind":"start"' in text or b'"kind":"end"' in text


def _validate(data: Any, path: Path, number: int) -> AnyLine:
    version = data.get("schema_version", SCHEMA) if isinstance(data, dict) else SCHEMA
    if version != SCHEMA:
        newer = isinstance(version, int) and version > SCHEMA
        hint = "written by a newer mtlbench: update this one" if newer else "written by an older mtlbench"
        raise RecordError(f"record '{path}' has schema version {version}, this mtlbench reads {SCHEMA} ({hint})")
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise RecordError(f"record '{path}' line {number}: {where}: {first['msg']}") from error


def read_run(folder: str | Path) -> Run:
    """The run of a folder: its newest finished attempt, else its newest. RecordError where there is none to read."""
    runs = read_attempts(Path(folder))
    finished = [run for run in runs if run.status == "finished"]
    return (finished or runs)[-1]


def read_attempts(folder: Path) -> list[Run]:
    """Every attempt of a folder's run, oldest first; a record without any start line is a RecordError."""
    lines = read_lines(folder / FILE)
    runs = [run for run in (_fold(folder, lines, a) for a in _attempts(lines)) if run is not None]
    if not runs:
        raise RecordError(f"record '{folder / FILE}' has no start line")
    return runs


def _attempts(lines: list[AnyLine]) -> list[int]:
    return sorted({line.attempt for line in lines})


def _fold(folder: Path, lines: list[AnyLine], attempt: int) -> Run | None:
    run: Run | None = None
    logs: dict[int, Log] = {}  # by what makes a line written again the same one; the last one stands, in its place
    evals: dict[tuple[object, ...], Eval] = {}
    for line in lines:
        if line.attempt != attempt:
            continue
        if isinstance(line, Start):
            run = run or Run(folder, line)
        elif run is None:
            continue
        elif isinstance(line, Resume):
            logs = {k: x for k, x in logs.items() if x.step <= line.step}
            evals = {
                k: x for k, x in evals.items() if x.step <= line.step and x.purpose not in ("final", "constant", "rule")
            }
            run.cost, run.latency, run.end, run.artefacts = None, None, None, []
            run.notes += [line.note] if line.note else []
        elif isinstance(line, Log):
            logs.pop(line.step, None)
            logs[line.step] = line
        elif isinstance(line, Eval):
            evals.pop(key := _key(line), None)
            evals[key] = line
        elif isinstance(line, Cost):
            run.cost = line
        elif isinstance(line, SideBySide):
            run.latency = line
        elif isinstance(line, ArtefactLine):
            run.artefacts.append(line)
        elif isinstance(line, End):
            run.end = line
    if run is not None:
        run.logs, run.evals = list(logs.values()), list(evals.values())
    return run


def _key(line: Eval) -> tuple[object, ...]:
    """What is equal in two lines of one evaluation: a run killed right after it wrote it, and going on, wrote it again."""
    return line.step, line.phase, line.split, line.purpose, line.rule


def status_of(folder: Path) -> str:
    """How far the newest attempt of a record is: new, unfinished, finished, diverged or failed."""
    if not (folder / FILE).exists() or not read_lines(folder / FILE):
        return "new"  # a kill may leave an empty file, or half a line
    return read_attempts(folder)[-1].status


def last_attempt(folder: Path) -> int:
    """The number of the newest attempt in a record; 0 where there is none yet."""
    return max(_attempts(read_lines(folder / FILE)), default=0) if (folder / FILE).exists() else 0


def verify(folder: Path, artefact: ArtefactLine) -> Path:
    """The file of an artefact line; RecordError where it is not there, or not a bit as it was written."""
    path = folder / artefact.path
    if not is_name(artefact.path) or path.is_symlink() or not path.is_file():
        raise RecordError(f"there is no file '{path}' of which the record speaks")
    try:
        found = digest(path) if artefact.sha256 else ""
    except OSError as error:
        raise RecordError(f"cannot read '{path}': {error.strerror or error}") from error
    if found != artefact.sha256:
        raise RecordError(f"'{path}' is damaged (its checksum is not the record's): run it again with --force")
    return path


def record_folders(results: Path) -> Iterator[Path]:
    """Every run's folder under a results folder, in the order of their names."""
    root = results / "records"
    if root.is_dir():
        yield from (path.parent for path in sorted(root.glob(f"*/{FILE}")))


def read_each(results: Path) -> Iterator[Run | str]:
    """Every run in turn, or one line on why its record cannot be read: none is dropped silently."""
    for folder in record_folders(results):
        try:
            yield read_run(folder)
        except RecordError as error:
            yield str(error)


def read_all(results: Path) -> tuple[list[Run], list[str]]:
    """Every readable run, and one line for each record that is not."""
    read = list(read_each(results))
    return [r for r in read if isinstance(r, Run)], [r for r in read if isinstance(r, str)]
