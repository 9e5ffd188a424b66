"""Where a report is written: only what changed, whole, and nothing outside its folder; what an earlier one left is removed.

Files are replaced by renaming, so a reader sees the old one or the new one, and whoever kills a report leaves no half of
one. The manifest holds a digest of every file: one that is cut, edited or older than its data is written again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from mtlbench.errors import RecordError

MANIFEST = "manifest.json"
FOLDERS = {"tables": (".md", ".csv", ".tex"), "figures": (".png", ".svg"), "runs": (".html",)}
"""What the report writes beside the page and the manifest; whatever else lies in the folder is not ours to touch."""
PART = ".part"  # the ending of a file that is being written; before it stands the writer's process


class Disk:
    """Writes what changed, remembers what it wrote, and removes what an earlier report wrote and this one does not."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.digests: dict[str, str] = {}  # of every file of this report
        self.hashes: dict[str, str] = {}  # of each figure's data
        self.before, self.drawn = _manifest(root / MANIFEST)
        self._sweep()

    @property
    def files(self) -> set[str]:
        """The names of what this report consists of, the manifest with them."""
        return {*self.digests, MANIFEST}

    def put(self, name: str, content: str | bytes) -> None:
        """Write a file under the root, if it is not there with this content. RecordError where that cannot be done."""
        data = content.encode("utf-8", "replace") if isinstance(content, str) else content
        path = self._place(name)
        self.digests[name] = _digest(data)
        self.announce([name])
        try:
            if not _same(path, data):
                _replace(path, data)
        except OSError as error:
            raise RecordError(f"cannot write '{path}': {error.strerror or error}") from error

    def unchanged(self, name: str, digest: str, suffixes: Sequence[str]) -> bool:
        """Whether a figure lies there as it was drawn, from the same data; notes it as ours."""
        self.hashes[name] = digest
        found = {f: _digest_of(self._place(f)) for f in (f"figures/{name}.{x}" for x in suffixes)}
        same = self.drawn.get(name) == digest and all(d and d == self.before.get(f) for f, d in found.items())
        if same:
            self.digests.update({f: str(d) for f, d in found.items()})
        return same

    def finish(self) -> None:
        """Remove stale files and write the manifest."""
        for name in sorted(self.before.keys() - self.digests.keys()):
            if _ours(name) and not _link_in(self.root, name):
                (self.root / name).unlink(missing_ok=True)
        self._write_manifest(self.digests)

    def announce(self, names: Iterable[str]) -> None:
        """Name new files in the manifest before they are written: a report that is killed leaves nothing unknown."""
        new = [name for name in names if name not in self.before and name != MANIFEST]
        if new:
            self.before.update(dict.fromkeys(new, ""))
            self._write_manifest({**self.before, **self.digests, **dict.fromkeys(new, "")})

    def _write_manifest(self, digests: dict[str, str]) -> None:
        figures = {**self.drawn, **self.hashes} if digests is not self.digests else self.hashes
        known = {n: d for n, d in sorted(digests.items()) if n != MANIFEST}
        self.put(MANIFEST, json.dumps({"files": known, "figures": dict(sorted(figures.items()))}, indent=1) + "\n")
        self.digests.pop(MANIFEST)

    def _place(self, name: str) -> Path:
        """Where a file goes; no folder on the way there may be a link."""
        if link := _link_in(self.root, name):
            raise RecordError(
                f"'{link}' is a link, and the report writes nothing outside '{self.root}' (remove it, or give another --out)"
            )
        return self.root / name

    def _sweep(self) -> None:
        """Remove what a killed report was writing."""
        for folder in (self.root, *(self.root / name for name in FOLDERS)):
            if folder.is_dir() and (folder is self.root or not folder.is_symlink()):
                for path in folder.glob(f".*{PART}"):
                    if _abandoned(path):
                        path.unlink(missing_ok=True)


def _manifest(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Digests of an earlier report's files and of its figures' data; none where there is no manifest of ours."""
    try:
        if path.is_symlink():
            return {}, {}
        old: Any = json.loads(path.read_text())
        files = old["files"]  # a list of names in manifests of before the digests
        digests = (
            {str(k): str(v) for k, v in files.items()}
            if isinstance(files, dict)
            else dict.fromkeys(map(str, files), "")
        )
        return digests, {str(k): str(v) for k, v in old["figures"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}, {}


def _ours(name: str) -> bool:
    """Whether a report could have written a file of this name."""
    parts = PurePosixPath(name).parts
    return len(parts) == 2 and parts[1] not in (".", "..") and name.endswith(FOLDERS.get(parts[0], ("/",)))


def _link_in(root: Path, name: str) -> Path | None:
    """The first folder on the way from the root to a file that is a link."""
    return next((folder for folder in _folders(root, name) if folder.is_symlink()), None)


def _folders(root: Path, name: str) -> Iterator[Path]:
    for part in PurePosixPath(name).parts[:-1]:
        root = root / part
        yield root


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def _digest_of(path: Path) -> str | None:
    try:
        return None if path.is_symlink() else _digest(path.read_bytes())
    except OSError:
        return None


def _same(path: Path, data: bytes) -> bool:
    plain = not path.is_symlink() and path.is_file()
    return plain and path.stat().st_size == len(data) and path.read_bytes() == data


def _replace(path: Path, data: bytes) -> None:
    """Write beside the file, then take its name: a link or a second name of it elsewhere keeps what it had."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{hashlib.sha256(path.name.encode()).hexdigest()[:16]}.{os.getpid()}{PART}")
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as file:
            file.write(data)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _abandoned(path: Path) -> bool:
    """Whether the process that was writing it is gone."""
    number = path.name.removesuffix(PART).rpartition(".")[2]
    if not number.isdecimal():
        return False
    try:
        os.kill(int(number), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return int(number) == os.getpid()
