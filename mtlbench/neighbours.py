"""What a user's file imports from beside it: the files that decide what it does, and a way to import them from there."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def sources(file: Path) -> dict[str, bytes]:
    """The content of a file and of every file beside it that it imports, directly or not, by path from its folder.

    Imports are read from the text, those inside functions too; a file that is no Python stands for itself.
    """
    folder, found, waiting = file.parent, dict[Path, bytes](), [file]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found[path] = path.read_bytes()
            waiting += [p for name in _imported(found[path]) for p in _beside(folder, path.parent, name)]
    return {path.relative_to(folder).as_posix(): data for path, data in found.items()}


def digest(file: Path) -> str:
    """A hash of the sources: of their content and their places beside the file, not of where the folder lies."""
    first, *others = sources(file).items()
    said = first[1]  # alone it is the file's own hash
    for name, data in sorted(others):
        said += b"\0" + name.encode() + b"\0" + hashlib.sha256(data).digest()
    return hashlib.sha256(said).hexdigest()


def _imported(source: bytes) -> Iterator[str]:
    """Dotted names, with their leading dots."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            dots, module = "." * node.level, node.module or ""
            yield dots + module
            yield from (f"{dots}{module}{'.' if module else ''}{alias.name}" for alias in node.names)


def _beside(folder: Path, here: Path, name: str) -> Iterator[Path]:
    """The files that importing a name runs: the module's, and those of the packages around it."""
    level = len(name) - len(name.lstrip("."))
    base = here if level else folder
    for _ in range(level - 1):
        base = base.parent
    if not base.is_relative_to(folder) or name.partition(".")[0] in sys.stdlib_module_names:
        return
    for part in name.lstrip(".").split("."):
        base = base / part
        for path in (base.with_name(f"{part}.py"), base / "__init__.py"):
            if part and path.is_file():
                yield path


@contextmanager
def importable(file: Path) -> Iterator[None]:
    """Inside, the files beside `file` are imported from there, whatever another folder's of the same name was before."""
    folder = str(file.parent)
    own = {name.partition("/")[0].removesuffix(".py") for name in sources(file)}
    for name in list(sys.modules):
        if name.partition(".")[0] in own and _is_users(sys.modules[name]):
            del sys.modules[name]
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
        if folder not in sys.path:
            sys.path.append(folder)  # for what is imported only when it is needed


def _is_users(module: object) -> bool:
    """Whether a module came from a file that is neither installed nor part of Python."""
    place = getattr(module, "__file__", None) or ""
    return bool(place) and not any(p in Path(place).parts for p in ("site-packages", "dist-packages", "lib-dynload"))
