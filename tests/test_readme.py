"""The README's table is that of the committed results, and its commands exist.

python tests/test_readme.py prints the table as it should stand.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
STUDY = "nyuv2-segmentation+depth-"
COLUMNS = [  # heading, table, key, format, scale, whether its interval stands beside it
    ("mIoU (%) ↑", "accuracy", "segmentation/miou", ".1f", 1.0, False),
    ("depth error (m) ↓", "accuracy", "depth/abs_error", ".3f", 1.0, False),
    ("Δ (%) ↑", "accuracy", "delta_primary", "+.1f", 1.0, True),
    ("backbone ×", "cost", "parameters_ratio", ".2f", 1.0, False),
    ("MMAC", "cost", "macs", ".0f", 1e6, False),
    ("training TFLOP", "cost", "training_flops", ".1f", 1e12, False),
]


def rows(table: str) -> dict[str, dict[str, str]]:
    (path,) = (ROOT / "results" / "tables").glob(f"{STUDY}*-{table}.csv")
    with path.open(newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def cell(row: dict[str, str], key: str, how: str, scale: float, interval: bool) -> str:
    value, *ends = (format(float(row[k]) / scale, how) if row[k] else "" for k in (key, f"{key}:low", f"{key}:high"))
    return f"{value} [{', '.join(ends)}]" if interval and all(ends) and ends[0] != ends[1] else value


def table() -> list[str]:
    """The study's table in Markdown."""
    tables = {name: rows(name) for name in ("accuracy", "cost")}
    lines = ["| method | " + " | ".join(c[0] for c in COLUMNS) + " |", "| :-- |" + " --: |" * len(COLUMNS)]
    for method in tables["cost"]:
        cells = [cell(tables[name][method], *how) for _, name, *how in COLUMNS]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def test_the_readmes_table_is_the_committed_results():
    readme = (ROOT / "README.md").read_text().splitlines()
    lines = table()
    start = readme.index(lines[0])
    assert readme[start : start + len(lines)] == lines


def test_the_answers_differences_are_the_committed_results():
    """What README and docs/study.md say in words: both gains over hard sharing, the second one turned round."""
    gains = rows("against-hard-sharing")
    gain, low, high = "all tasks/gain", "all tasks/gain:low", "all tasks/gain:high"
    learned = [float(gains["adashare"][k]) for k in (gain, low, high)]
    shared = [-float(gains["single-task"][k]) for k in (gain, high, low)]
    for name in ("README.md", "docs/study.md"):
        text = (ROOT / name).read_text()
        for mean, least, most in (learned, shared):
            assert f"{mean:+.1f} [{least:+.1f}, {most:+.1f}]" in text, name


def test_the_readmes_links_and_pictures_are_there():
    text = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (ROOT / target).exists(), target


def test_the_readmes_commands_exist():
    from typer.main import get_command

    from mtlbench.cli.app import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    blocks = re.findall(r"```.*?```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    used = set(re.findall(r"^mtlbench ([a-z]+)", "\n".join(blocks), flags=re.MULTILINE))
    assert used
    assert used <= known


if __name__ == "__main__":
    print(*table(), sep="\n")
