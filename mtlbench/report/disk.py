"""Where a report is written: only what changed, and what an earlier report left is removed."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

from mtlbench.errors import RecordError

MANIFEST = "manifest.json"
FOLDERS = ("tables", "figures", "runs")  # whatever else lies in the results folder is not ours to touch


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
