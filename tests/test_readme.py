"""The README's table is that of the committed results, and its commands exist.

python tests/test_readme.py prints the table as it should stand.
"""

from __future__ import annotations

import csv
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.trials import chosen, trials
from mtlbench.report.report import read

ROOT = Path(__file__).parent.parent
STUDY = "nyuv2-segmentation+depth-resnet18-standard-cpu-0af5e8"  # cells A and P
COLUMNS = [  # heading, table, key, format, scale, whether its interval stands beside it
    ("mIoU (%) ↑", "accuracy", "segmentation/miou", ".1f", 1.0, False),
    ("depth error (m) ↓", "accuracy", "depth/abs_error", ".3f", 1.0, False),
    ("Δ (%) ↑", "accuracy", "delta_primary", "+.1f", 1.0, True),
    ("backbone ×", "cost", "parameters_ratio", ".2f", 1.0, False),
    ("MMAC", "cost", "macs", ".0f", 1e6, False),
    ("training TFLOP", "cost", "training_flops", ".1f", 1e12, False),
]


def rows(table: str, study: str = STUDY) -> dict[str, dict[str, str]]:
    (path,) = (ROOT / "results" / "tables").glob(f"{study}-{table}.csv")
    return read_rows(path)


def read_rows(path: Path) -> dict[str, dict[str, str]]:
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


def printed(script: str, *records: str) -> str:
    """What a script of the study's cells prints about results folders."""
    return str(runpy.run_path(str(ROOT / f"docs/study/{script}.py"))["table"](*(ROOT / r for r in records)))


@pytest.mark.parametrize(
    ("page", "script", "records"),
    [
        ("docs/study.md", "confirmatory", ["results"]),
        ("docs/study.md", "weights", ["results/weights"]),
        ("docs/study.md", "knee", ["results/knee"]),
        ("docs/study.md", "choosing", ["results/choosing"]),
        ("docs/related.md", "related", ["results/related/records.tar.xz"]),
        ("results/README.md", "hours", ["results", "results/knee", "results/weights", "results/choosing"]),
    ],
)
def test_a_scripts_table_is_that_of_the_records(page: str, script: str, records: list[str]) -> None:
    text = (ROOT / page).read_text()
    assert re.search(rf"python docs/study/{script}\.py (table )?{re.escape(' '.join(records))}\n", text)
    assert cells(printed(script, *records)) in cells(text)


def cells(text: str) -> str:
    """A table without its padding, in which tabulate's setting for terminals has a say."""
    return re.sub(r"-{3,}", "---", re.sub(r" *\| *", "|", text))


def test_what_is_said_of_the_knee_is_its_records() -> None:
    """Hard sharing's gain over single-task on test, at half, once and twice A's training: one seed, so no interval."""
    found = sorted(read(ROOT / "results/knee").aggregates, key=lambda r: r.study.config["steps"])
    gains = [value for r in found if (x := r.line("shared")) for value in x.series(r.headline).values()]
    mious = [
        ", ".join(f"{v:.1f}" for r in found for v in r.line(kind).values["segmentation", "miou"].values())
        for kind in ("independent", "shared")
    ]
    assert f"its mIoU goes {mious[0]} %, hard sharing's {mious[1]}," in (ROOT / "docs/study.md").read_text()
    assert f"goes {gains[0]:.1f}, {gains[1]:.1f}, {gains[2]:.1f} points" in (ROOT / "docs/study.md").read_text()


def test_p_values_and_sizes_that_would_have_been_found_are_the_committed_results() -> None:
    """Every row of the tables of differences."""
    differences = runpy.run_path(str(ROOT / "docs/study/differences.py"))["differences"]
    known = set()
    for result in read(ROOT / "results").aggregates:
        for _, _, found in differences(result):
            d = found.difference
            for m, a, b in ((d.mean, d.low, d.high), (-d.mean, -d.high, -d.low)):
                known.add((f"{m:+.1f} [{a:+.1f}, {b:+.1f}]", float(f"{found.p:.2g}"), f"{found.detectable:.1f}"))
    said = re.findall(r"\| ([^|]+\]) \| ([.\d]+) \| ([.\d]+) \|", (ROOT / "docs/study.md").read_text())
    told = {(triple, float(p), size) for triple, p, size in said}
    assert len(said) > 10 and told <= known, told - known


def test_latencies_that_are_said_are_the_committed_results() -> None:
    (said,) = re.findall(r"What deploys faster\*\*: (.+?);", (ROOT / "docs/study.md").read_text(), flags=re.DOTALL)
    cost = rows("cost")
    ada = sorted(m for m in cost if m.startswith("adashare"))
    order = ["hard-sharing", "hard-sharing-narrow", *ada, "random-policy", "hard-sharing-wide", "mtan"]
    order += ["single-task", "cross-stitch"]
    assert re.findall(r"\d\.\d", said) == [f"{float(cost[m]['latency_ms']):.1f}" for m in order]


def plain(rows: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """By the method's name for the row that trials chose, and that with " default" for the one with default penalties."""
    default = "lambda_sharing=0.01, "
    return {m.partition(" (")[0] + " default" * (default in m): row for m, row in rows.items()}


def test_costs_and_errors_that_are_said_of_pacs_and_scenes_are_the_committed_results() -> None:
    text = " ".join((ROOT / "docs/study.md").read_text().split())
    found = (rows("cost", "pacs-*"), rows("cost", "scenes-*"), rows("accuracy", "scenes-*"))
    pacs, scenes, errors = map(plain, found)
    mmac = {name: {m: float(row["macs"]) / 1e6 for m, row in own.items()} for name, own in (("p", pacs), ("s", scenes))}
    assert f"({mmac['p']['adashare']:.1f} MMAC of {mmac['p']['hard-sharing']:.1f})" in text
    assert (
        f"{float(pacs['random-policy']['steps']):,.0f} steps; of AdaShare's {float(pacs['adashare']['steps']):,.0f}"
        in text
    )
    assert f"({mmac['s']['adashare']:.0f} MMAC of {mmac['s']['hard-sharing']:.0f})" in text
    assert f"({mmac['s']['hard-sharing']:.0f} MMAC, {mmac['s']['single-task']:.0f})" in text
    assert f"({mmac['s']['adashare default']:.0f} MMAC): a slightly" in text
    assert f"shares little ({mmac['s']['random-policy default']:.0f} MMAC)" in text
    latency = {m: float(row["latency_ms"]) for m, row in scenes.items()}
    assert f"({latency['hard-sharing']:.1f} ms, {latency['single-task']:.1f})" in text
    error = {
        m: [f"{float(row[f'{t}/abs_error']):.3f}"[1:] for t in ("depth", "depth2", "rival")]
        for m, row in errors.items()
    }
    shared, single = error["hard-sharing"], error["single-task"]
    rival = [error[m][2] for m in ("adashare default", "adashare", "single-task")]
    assert "Its error is {} m with the default ones, {} with those chosen, {} in a network".format(*rival) in text
    told = f"errors {shared[0]} and {shared[1]} m where single networks have {single[0]} and {single[1]}; "
    assert f"{told}{shared[2]} where it has {single[2]})" in text


def test_trials_and_steps_that_are_said_are_the_committed_results() -> None:
    """Scores and errors of trials by their number, the steps of the network that ships, and the p over data sets."""
    text = " ".join((ROOT / "docs/study.md").read_text().split())
    found = {(r.study.config["dataset"], r.study.config["steps"]): r for r in read(ROOT / "results").aggregates}
    nyuv2, pacs, scenes = (found[key] for key in (("nyuv2", 8000), ("pacs", 1500), ("scenes", 1500)))
    best = [chosen(trials(nyuv2)[m]) for m in ("adashare", "hard-sharing")]
    scores, errors = ([f"{getattr(t, what):.2f}"[1:] for t in best] for what in ("score", "error"))
    assert f"(validation score {scores[0]} and {scores[1]}, standard errors {errors[0]} and {errors[1]})" in text
    ada, hard = (trials(pacs)[m] for m in ("adashare", "hard-sharing"))
    assert chosen(ada) is ada[5] and chosen(hard) is hard[4]
    told = [f"{x.score:.3f}"[1:] for x in (hard[5], hard[4], ada[5])]
    assert "in trials ({} instead of {}; AdaShare {})".format(*told) in text
    ada = trials(scenes)["adashare"]
    assert f"({ada[0].score:.3f}; {ada[4].score:.3f} for the chosen one".replace("0.", ".") in text

    def shipped(result: Aggregate, default: bool) -> list[int]:
        lines = [
            x for x in result.lines if x.row.method == "adashare" and ("lambda_sharing=0.01, " in x.label) == default
        ]
        return [run.steps - sum(p["steps"] for p in run.phases if not p["final"]) for run in lines[0].row.every]

    (empty,) = set(shipped(scenes, default=False)[1:])
    follower = [x for x in scenes.lines if x.row.method == "random-policy" and "sharing=0.422" in x.label]
    (drawn,) = {run.steps for run in follower[0].row.every[1:]}
    assert f"with {drawn:,} steps instead of {empty:,};" in text
    assert (
        f"hard-sharing network with {round(float(np.mean(shipped(scenes, default=True))))} steps instead of 1,500"
        in text
    )
    assert round(float(np.mean(shipped(pacs, default=True))), -2) == 900 and "some 900 steps instead of 1,500" in text
    mmac = {m: float(row["macs"]) / 1e6 for m, row in plain(rows("cost", "pacs-*")).items()}
    assert f"{mmac['random-policy']:.1f} MMAC) is 10.8" in text and f"({mmac['adashare default']:.1f} MMAC)" in text
    (effects,) = (ROOT / "results/tables").glob("effects-*.csv")
    over = read_rows(effects)
    assert (
        f"(p {float(over['adashare']['p']):.2f}, corrected over the four rows".replace("0.", ".") in text
        and len(over) == 4
    )


TRIPLE = re.compile(r"[+-]\d+\.\d \[[+-]\d+\.\d, [+-]\d+\.\d\]")


def test_every_difference_that_is_said_is_the_committed_results():
    """README's answer and the study's findings: of two rows, either way round, or of a row's tasks to hard sharing's."""
    known = set(TRIPLE.findall("\n".join(table())))
    differences = runpy.run_path(str(ROOT / "docs/study/differences.py"))["differences"]
    for result in read(ROOT / "results").aggregates:
        for _, _, found in differences(result):
            d = found.difference
            known |= {
                f"{m:+.1f} [{a:+.1f}, {b:+.1f}]" for m, a, b in ((d.mean, d.low, d.high), (-d.mean, -d.high, -d.low))
            }
    for path in (ROOT / "results" / "tables").glob("*-against-hard-sharing.csv"):
        for row in read_rows(path).values():
            for key in (k for k in row if k.endswith("/gain") and row[k]):
                known.add(f"{float(row[key]):+.1f} [{float(row[f'{key}:low']):+.1f}, {float(row[f'{key}:high']):+.1f}]")
    for sweep in read(ROOT / "results").sweeps:
        found = [sweep.rise(label) for label in sweep.labels]
        known |= {f"{x.mean:+.1f} [{x.low:+.1f}, {x.high:+.1f}]" for x in found}
    known |= set(TRIPLE.findall(printed("weights", "results/weights") + printed("choosing", "results/choosing")))
    known |= (relatedness := set(TRIPLE.findall(printed("related", "results/related/records.tar.xz"))))
    assert set(TRIPLE.findall((ROOT / "docs/related.md").read_text())) <= relatedness
    for name, start, end in (
        ("README.md", "## The answer", "## Two commands"),
        ("docs/study.md", "## Findings", "## How the"),
    ):
        text = (ROOT / name).read_text()
        said = TRIPLE.findall(text[text.index(start) : text.index(end)])
        assert len(said) > 3 and set(said) <= known, set(said) - known


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
