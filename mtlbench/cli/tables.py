"""Tables on the terminal."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Sequence

COLUMN = 96  # characters of a cell before it is wrapped
LEAST = 12  # and of a cell that a narrow terminal wraps
GAP = 2  # between columns


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A plain table, as wide as the terminal where there is one (or as COLUMNS says)."""
    import tabulate  # every command's start would pay for it

    tabulate.MIN_PADDING = 0  # of a head: the gap between columns is enough
    cells = [[str(cell) for cell in row] for row in rows]
    natural = [max((len(row[i]) for row in cells), default=0) for i in range(len(header))]
    widths = fitted([min(w, COLUMN) for w in natural], [max(map(len, h.split("\n"))) for h in header], _room())
    wrapped = widths if widths != natural else None  # wrapping takes longer than all the rest
    return tabulate.tabulate(cells, header, tablefmt="simple", disable_numparse=True, maxcolwidths=wrapped)


def fitted(widths: Sequence[int], heads: Sequence[int], room: int | None) -> list[int]:
    """Widths of columns that fit `room` together with their gaps, the widest cut first; none below LEAST."""
    found = list(widths)
    while room is not None and sum(map(max, found, heads)) + GAP * (len(found) - 1) > room:
        cut = [w if w > max(h, LEAST) else 0 for w, h in zip(found, heads, strict=True)]
        if not any(cut):
            break
        found[cut.index(max(cut))] -= 1
    return found


def _room() -> int | None:
    """Characters of a line; None where nobody reads it on a terminal."""
    if not (sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal()):
        return None
    return shutil.get_terminal_size().columns
