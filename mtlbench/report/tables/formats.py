"""A table, and its three forms: Markdown, CSV and LaTeX (booktabs). Every text is escaped where it is printed."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from mtlbench.report.analysis.statistics import Summary
from mtlbench.report.text import (
    MISSING,
    csv_text,
    latex,
    latex_comment,
    latex_prose,
    markdown,
    markdown_prose,
    number,
    si,
)

BEST, SECOND = "best", "second"
BETTER, WORSE = "▲", "▼"  # than hard sharing, by the corrected test
LONG_HEAD = 11  # letters of a column's head that stand in one line of LaTeX
PAGE = 10  # columns that a page of paper holds beside the first


@dataclass(frozen=True)
class Column:
    """A column: `group` is the task it belongs to, `key` its name in CSV. `higher` gives the arrow and the marks."""

    key: str
    head: str
    group: str = ""
    unit: str = ""
    higher: bool | None = None
    digits: int = 2
    sign: bool = False
    prefix: bool = False  # as 18.5 G rather than in digits
    interval: bool = False  # show the t interval, not the deviation

    @property
    def title(self) -> str:
        """Head with unit and arrow."""
        arrow = "" if self.higher is None else " ↑" if self.higher else " ↓"
        return f"{self.head}{f' ({self.unit})' if self.unit and not self.prefix else ''}{arrow}"

    def figure(self, value: float, sign: bool = False) -> str:
        """A number of this column."""
        return si(value, self.unit) if self.prefix else number(value, self.digits, sign)


@dataclass
class Cell:
    """A figure over seeds, or a text. `tied` says that it could not be told from the best at these seeds; `sign` and `note`
    stand behind it."""

    value: Summary | str
    mark: str = ""
    tied: bool = False
    sign: str = ""
    note: str = ""

    def show(self, column: Column) -> str:
        """The cell as plain text."""
        if isinstance(self.value, str):
            return self.value
        value = self.value
        if value.n == 0 or not math.isfinite(value.mean):
            return MISSING
        text = column.figure(value.mean, column.sign)
        if math.isfinite(value.sd) and value.sd > 0:
            if column.interval:
                text += f" [{column.figure(value.low, column.sign)}, {column.figure(value.high, column.sign)}]"
            else:
                text += f" ± {column.figure(value.sd)}"
        return " ".join(x for x in (text, "≈" * self.tied, self.sign, self.note) if x)


@dataclass
class Table:
    """Rows of cells under columns, with what a reader must know: a title above and notes below."""

    name: str
    title: str
    columns: list[Column]
    rows: list[tuple[str, list[Cell]]]
    notes: list[str] = field(default_factory=list)
    first: str = "Method"

    @property
    def grouped(self) -> bool:
        """Whether columns belong to tasks."""
        return any(c.group for c in self.columns)


def to_markdown(table: Table) -> str:
    """The table under its title, its notes below."""
    heads = [markdown(table.first)] + [markdown(f"{c.group}: {c.title}" if c.group else c.title) for c in table.columns]
    rows = [[markdown(label), *(_marked(c, k, markdown, "**", "*") for c, k in zip(cells, table.columns, strict=True))]
            for label, cells in table.rows]  # fmt: skip
    align = [":--", *["--:"] * len(table.columns)]
    body = "\n".join("| " + " | ".join(cells) + " |" for cells in [heads, align, *rows])
    notes = "".join(f"\n{markdown_prose(note)}\n" for note in table.notes)
    return f"### {markdown(table.title)}\n\n{body}\n{notes}"


def _marked(cell: Cell, column: Column, escape: Callable[[str], str], best: str, second: str) -> str:
    text = escape(cell.show(column))
    mark = best if cell.mark == BEST else second if cell.mark == SECOND else ""
    return f"{mark}{text}{mark}"


_PARTS = ("mean", "sd", "low", "high", "n")


def to_csv(table: Table) -> str:
    """One line a row, full precision: a figure is five cells (mean, sd, 95 % t interval low and high, n)."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    texts = [any(isinstance(cells[i].value, str) for _, cells in table.rows) for i in range(len(table.columns))]
    keys = [f"{c.group}/{c.key}" if c.group else c.key for c in table.columns]
    heads = [[k] if text else [k, *(f"{k}:{p}" for p in _PARTS[1:])] for k, text in zip(keys, texts, strict=True)]
    writer.writerow([csv_text(h) for h in [table.first.lower(), *(h for group in heads for h in group)]])
    for label, cells in table.rows:
        line = [csv_text(label)]
        for cell, text in zip(cells, texts, strict=True):
            line += [_csv_cell(cell)] if text else _csv_parts(cell)
        writer.writerow(line)
    return out.getvalue()


def _csv_cell(cell: Cell) -> str:
    return csv_text(cell.value) if isinstance(cell.value, str) else _csv_parts(cell)[0]


def _csv_parts(cell: Cell) -> list[str]:
    value = cell.value
    if isinstance(value, str):
        return [csv_text(value), "", "", "", ""]
    figures = [f"{x:.10g}" if math.isfinite(x) else "" for x in (value.mean, value.sd, value.low, value.high)]
    return [*figures, str(value.n)]


def to_latex(table: Table, head: list[str]) -> str:
    """A booktabs table; `head` stands above it as comments. Needs \\usepackage{booktabs} and graphicx.

    What is too wide for a page becomes several parts below each other, cut between tasks where that can be.
    """
    comments = "".join(f"{latex_comment(line)}\n" for line in head)
    parts = "\n\\par\\medskip\n".join(_latex_part(table, part) for part in blocks(table.columns))
    notes = " ".join(latex_prose(note) for note in table.notes)
    return (
        f"{comments}% \\usepackage{{booktabs,graphicx}}\n\\begin{{table}}[t]\n\\centering\n\\setlength{{\\tabcolsep}}{{4pt}}\n"
        f"\\caption{{{latex(table.title)}. {notes}}}\n\\medskip\\small\n{parts}\n\\end{{table}}\n"
    )


def blocks(columns: Sequence[Column]) -> list[slice]:
    """Columns in parts of at most PAGE, whole groups where they fit."""
    found = [slice(0, 0)]
    for _, count in spans(columns):
        start = found[-1].stop
        if count <= PAGE:
            pieces = [count]
        else:  # about equal ones
            number = -(-count // PAGE)
            pieces = [count // number + (i < count % number) for i in range(number)]
        for piece in pieces:
            whole = slice(found[-1].start, start + piece)
            if whole.stop - whole.start <= PAGE:
                found[-1] = whole
            else:
                found.append(slice(start, start + piece))
            start += piece
    return found


def _latex_part(table: Table, part: slice) -> str:
    columns = table.columns[part]
    rows = "\n".join(_latex_row(label, cells[part], columns) for label, cells in table.rows)
    return (
        f"\\resizebox{{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}}{{!}}{{%\n"
        f"\\begin{{tabular}}{{l{'r' * len(columns)}}}\n\\toprule\n{_latex_head(replace(table, columns=columns))}"
        f"\\midrule\n{rows}\n\\bottomrule\n\\end{{tabular}}}}"
    )


def _latex_row(label: str, cells: list[Cell], columns: list[Column]) -> str:
    texts = []
    for cell, column in zip(cells, columns, strict=True):
        text = latex(cell.show(column))
        mark = {BEST: "\\textbf", SECOND: "\\underline"}.get(cell.mark)
        texts.append(f"{mark}{{{text}}}" if mark else text)
    return " & ".join([latex(label), *texts]) + r" \\"


def _latex_head(table: Table) -> str:
    heads = " & ".join([latex(table.first), *map(_latex_title, table.columns)]) + " \\\\\n"
    if not table.grouped:
        return heads
    heads_above, rules, start = [], [], 2
    for group, count in spans(table.columns):
        heads_above.append(f"\\multicolumn{{{count}}}{{c}}{{{latex(group or 'all tasks')}}}")
        rules.append(f"\\cmidrule(lr){{{start}-{start + count - 1}}}")
        start += count
    return " & ".join(["", *heads_above]) + " \\\\\n" + "".join(rules) + "\n" + heads


def _latex_title(column: Column) -> str:
    """A column's title in lines: a long head in two, then unit and arrow, so that a page holds many columns."""
    breaks = [i for i, letter in enumerate(column.head) if letter == " "]
    middle = min(breaks, key=lambda i: abs(2 * i - len(column.head)), default=0) if len(column.head) > LONG_HEAD else 0
    lines = [column.head[:middle], column.head[middle:].strip(), column.title[len(column.head) :].strip()]
    stacked = r"\\".join(latex(line) for line in lines if line)
    return f"\\shortstack[r]{{{stacked}}}"


def spans(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """Neighbouring columns of one group: its name, and how many they are."""
    found: list[tuple[str, int]] = []
    for column in columns:
        if found and found[-1][0] == column.group:
            found[-1] = (column.group, found[-1][1] + 1)
        else:
            found.append((column.group, 1))
    return found
