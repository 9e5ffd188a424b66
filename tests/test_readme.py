"""The README's tables are those of the committed results, and its commands exist.

python tests/test_readme.py prints the tables as they should stand.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
STUDIES = {"3 tasks": "nyuv2-segmentation+normals+depth-", "segmentation and depth": "nyuv2-segmentation+depth-"}
COLUMNS = [  # heading, table, key, format
    ("mIoU (%) ↑", "accuracy", "segmentation/miou", ".1f"),
    ("mean angle, derived (°) ↓", "accuracy", "normals (derived)/mean_angle", ".1f"),
    ("depth error (m) ↓", "accuracy", "depth/abs_error", ".3f"),
    ("Δ (%) ↑", "accuracy", "delta_primary", "+.1f"),
    ("mean skill ↑", "skill", "score", ".3f"),
    ("backbone ×", "cost", "parameters_ratio", ".2f"),
    ("MMAC", "cost", "macs", "mega"),
    ("training TFLOP", "cost", "training_flops", "tera"),
]


def rows(prefix: str, table: str) -> dict[str, dict[str, str]]:
    (path,) = (ROOT / "results" / "tables").glob(f"{prefix}*-{table}.csv")
    with path.open(newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def written(value: str, how: str) -> str:
    scale = {"mega": 1e6, "tera": 1e12}.get(how, 1.0)
    return format(float(value) / scale, {"mega": ".0f", "tera": ".1f"}.get(how, how))


def table(prefix: str) -> list[str]:
    """A study's table in Markdown."""
    tables = {name: rows(prefix, name) for name in ("accuracy", "skill", "cost")}
    shown = [c for c in COLUMNS if c[2] in next(iter(tables[c[1]].values()))]
    lines = ["| method | " + " | ".join(c[0] for c in shown) + " |", "| :-- |" + " --: |" * len(shown)]
    for method in tables["cost"]:
        cells = [written(tables[name][method][key], how) for _, name, key, how in shown]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return lines


def test_the_readmes_tables_are_the_committed_results():
    readme = (ROOT / "README.md").read_text().splitlines()
    for prefix in STUDIES.values():
        lines = table(prefix)
        start = readme.index(lines[0])
        assert readme[start : start + len(lines)] == lines


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
    for name, prefix in STUDIES.items():
        print(f"{name}\n", *table(prefix), sep="\n", end="\n\n")
