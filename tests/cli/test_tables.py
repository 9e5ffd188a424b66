"""Tables on a terminal: whole where there is room, within its width where there is not, nothing lost."""

from __future__ import annotations

import pytest

from mtlbench.cli.tables import COLUMN, fitted, table

HEADER = ("option", "allowed", "meaning")
ROWS = [("lambda_sparsity", "number from 0, to 1,000,000", "The weight of the penalty on executed blocks. " * 2)]


@pytest.mark.parametrize("width", [60, 80, 140])
def test_a_table_is_no_wider_than_the_terminal(monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    lines = table(HEADER, ROWS).splitlines()
    assert max(map(len, lines)) <= width
    assert " ".join(" ".join(lines[2:]).split()).count("penalty") == 2
    assert "lambda_sparsity" in lines[2]


def test_without_a_terminal_only_long_cells_are_wrapped(monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    lines = table(HEADER, ROWS).splitlines()
    assert len(lines) == 3
    assert max(len(line) for line in table(HEADER, [("a", "b", "word " * 60)]).splitlines()) <= COLUMN + 20


def test_the_widest_column_gives_way_first():
    assert fitted([5, 40, 30], [8, 9, 9], 72) == [5, 30, 30]
    assert fitted([5, 40, 30], [8, 9, 9], 62) == [5, 25, 25]
    assert fitted([5, 40, 30], [8, 9, 9], None) == [5, 40, 30]
    assert fitted([50, 50], [8, 8], 10) == [12, 12]  # no narrower, however narrow the terminal
