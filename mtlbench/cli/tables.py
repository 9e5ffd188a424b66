"""Tables on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

COLUMN = 96  # characters of a cell before it is wrapped


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A plain table for the terminal."""
    from tabulate import tabulate  # every command's start would pay for it

    cells = [[str(cell) for cell in row] for row in rows]
    wide = any(len(cell) > COLUMN for row in cells for cell in row)  # wrapping takes longer than all the rest
    return tabulate(cells, header, tablefmt="simple", disable_numparse=True, maxcolwidths=COLUMN if wide else None)
