"""What lies in a folder: which layouts its names point to, what is no data, and names that are too alike to be two."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from os.path import isdir  # False, and no error, where a folder may not be looked at
from pathlib import Path

from mtlbench.data.base import module_name
from mtlbench.data.disk.files import bad
from mtlbench.data.disk.images import SUFFIXES
from mtlbench.errors import DataError, printable

SIGNS: Mapping[str, tuple[str, ...]] = {
    "nyuv2": ("nyu_v2_3task.json", "nyu_depth_v2_labeled.mat", "train/normal"),
    "cityscapes": ("cityscape.json", "leftImg8bit", "train/image"),
    "taskonomy": ("taskonomy.json", "rgb/*_rgb"),
    "fdu-mtl": ("*.task.train",),
    "text": ("*/train.csv",),
    "domains": ("*_train.txt", "*_test.txt"),
}
"""What only this data set's folders hold, as patterns; the first set that fits is meant."""
SPLIT_NAMES = frozenset({"train", "training", "val", "valid", "validation", "dev", "test", "testing", "eval"})
UNREAD = frozenset({
    ".heic", ".heif", ".avif", ".jp2", ".j2k", ".jxl", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".ico", ".psd", ".svg", ".eps",
    ".dng", ".nef", ".cr2", ".arw", ".raw", ".exr", ".hdr",
})  # fmt: skip
"""Endings of images that no reader takes: left out without a word they would be missed."""
SHOWN = 8  # kinds of files left out that are told apart
_NO_DATA = ("lost+found", "System Volume Information", "Thumbs.db")


def hidden(name: str) -> bool:
    """Whether a file or folder is some program's own and no data: .ipynb_checkpoints, __MACOSX, @eaDir, ._photo.png."""
    return name.startswith((".", "__", "@", "$")) or name in _NO_DATA


def found(root: Path, pattern: str) -> list[Path]:
    """What under `root` matches, in the order of names, without what is hidden. DataError where it cannot be read."""
    try:
        paths = sorted(root.glob(pattern))
    except OSError as error:
        raise DataError(f"'{root}': {error.strerror} (expected: a folder that can be read)") from error
    return [p for p in paths if not any(map(hidden, p.relative_to(root).parts))]


def folders(root: Path) -> list[Path]:
    """The folders directly in `root`."""
    return [p for p in found(root, "*") if isdir(p)]


def images(root: Path) -> list[Path]:
    """The photos directly in `root`."""
    return [p for p in found(root, "*") if p.suffix.lower() in SUFFIXES and not isdir(p)]


def domain_folders(root: Path) -> list[Path]:
    """The folders of `root` laid out as <class>/<image>."""
    return [place for place in folders(root) if any(map(images, folders(place)))]


def signs(root: Path, tree: bool = True) -> list[str]:
    """The data sets that the names in a folder point to, the likeliest first; a `tree` of domains has no other sign."""
    named = [name for name, patterns in SIGNS.items() if any(found(root, pattern) for pattern in patterns)]
    return named if "domains" in named or not tree or not domain_folders(root) else [*named, "domains"]


def below(root: Path) -> list[str]:
    """The data sets in the folders of `root`, in words: it may be the folder above the data."""
    own = domain_folders(root)
    known = {place.name: signs(place, tree=place not in own) for place in folders(root)}
    return [f"'{name}' ({' or '.join(sets)})" for name, sets in known.items() if sets]


def not_above(root: Path) -> None:
    """DataError where a folder of domains is the one above some data set, or its domains are the splits of one."""
    if sets := below(root):
        bad(root, f"holds data sets in its folders: {', '.join(sets[:5])}", "one of those folders")
    splits = [p.name for p in domain_folders(root) if p.name.casefold() in SPLIT_NAMES]
    if splits:
        meant = f"<domain>/<class>/<image>, not the parts {' and '.join(splits[:3])} of one domain"
        bad(root, f"'{splits[0]}' would be a domain", f"{meant}; lists can say what is for testing")


def strictly(place: Path) -> list[Path]:
    """The photos of a class, <class>/<image>. DataError for what would be missed: images of other kinds, or deeper down."""
    for path in found(place, "*"):
        if path.suffix.lower() in UNREAD and not isdir(path):
            bad(path, "an image of a kind that is not read", f"{' '.join(SUFFIXES)}, or no image here")
    for deeper in folders(place):
        if images(deeper):
            bad(deeper, "images below a class", "<domain>/<class>/<image>")
    return images(place)


def apart(names: Iterable[str], what: str, place: Path) -> None:
    """DataError where two names differ in case, spacing or form of their letters only: on some disks they are one."""
    known: dict[str, str] = {}
    for name in names:
        same = re.sub(r"[\s_-]+", " ", module_name(unicodedata.normalize("NFKC", name).casefold())).strip()
        if known.setdefault(same, name) != name:
            bad(
                place,
                f"{what} '{known[same]}' and '{name}' differ in case or spacing only",
                f"one name for each {what}",
            )


def utf8(name: str) -> str:
    """A file's name that may not be UTF-8 as one that is."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def left_out(root: Path, taken: Collection[Path]) -> tuple[int, list[str]]:
    """How many files under `root` are not among those taken, and in words what they are; links are not followed."""
    kinds: Counter[str] = Counter()
    example: dict[str, str] = {}
    known = set(taken)
    for place, _, names in os.walk(root):
        for name in names:
            path = Path(place, name)
            if path in known:
                continue
            relative = path.relative_to(root)
            kind = "hidden" if any(map(hidden, relative.parts)) else path.suffix.lower() or "without ending"
            kinds[kind] += 1
            example[kind] = min(example.get(kind, str(relative)), str(relative))
    said = [f"{count} {kind} ({printable(example[kind])})" for kind, count in kinds.most_common(SHOWN)]
    more = len(kinds) - SHOWN
    return kinds.total(), said + ([f"{more} kinds more"] if more > 0 else [])
