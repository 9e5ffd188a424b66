"""The tables: golden files, marks, warnings, escapes, and that LaTeX takes them."""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mtlbench.report import build
from mtlbench.report.analysis.aggregate import Aggregate
from mtlbench.report.analysis.statistics import Summary
from mtlbench.report.report import Report, read
from mtlbench.report.tables import formats, words
from mtlbench.report.tables import study as tables
from mtlbench.report.tables.formats import BEST, SECOND, Cell, Column, Table
from mtlbench.report.tables.header import header
from mtlbench.report.terminal import terminal
from mtlbench.report.text import clean, csv_text, duration, latex, markdown, number, si, slug

GOLDEN = Path(__file__).parent / "golden"
RESULTS = Path(__file__).parents[2] / "results"


def same_tables(before: Path, after: Path) -> None:
    """Every derived table is there and equal, byte for byte."""
    old, new = ({p.name: p.read_bytes() for p in sorted((root / "tables").iterdir())} for root in (before, after))
    assert set(new) == set(old)
    for name in old:
        assert new[name] == old[name], name


def test_golden_records_give_exactly_the_golden_tables(tmp_path: Path) -> None:
    """To renew after a wanted change: python -m tests.helpers.synthetic --golden, and read the difference."""
    build.write_tables(GOLDEN, tmp_path)
    same_tables(GOLDEN, tmp_path)


@pytest.mark.skipif(not (RESULTS / "tables").is_dir(), reason="no committed results")
def test_committed_results_are_what_the_report_gives(tmp_path: Path) -> None:
    build.write_tables(RESULTS, tmp_path)
    same_tables(RESULTS, tmp_path)


def table(result: Aggregate, name: str) -> Table:
    return next(t for t in tables.all_tables(result) if t.name == name)


def column(found: Table, key: str, group: str = "") -> dict[str, Cell]:
    i = next(i for i, c in enumerate(found.columns) if c.key == key and c.group == group)
    return {label: cells[i] for label, cells in found.rows}


def test_best_and_second_are_marked_in_the_right_direction(small: Path) -> None:
    accuracy = table(read(small).aggregates[0], "accuracy")
    for key, group, sign in (("miou", "segmentation", 1), ("abs_error", "depth", -1)):
        cells = column(accuracy, key, group)
        ranked = sorted((c.value.mean * -sign, name) for name, c in cells.items() if name != "constant predictor")  # type: ignore[union-attr]
        assert cells[ranked[0][1]].mark == BEST
        assert cells[ranked[1][1]].mark == SECOND
        assert not cells["constant predictor"].mark


def test_equal_figures_share_the_mark(synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(synthetic.METHODS, "twin-a", (5.0, 1.0, 1.0, "shared"))
    monkeypatch.setitem(synthetic.METHODS, "twin-b", (5.0, 1.0, 1.0, "shared"))
    fixed = synthetic.metrics("twin-a", "scenes", 0, synthetic.TASKS)
    monkeypatch.setattr(synthetic, "metrics", lambda *args, **kwargs: fixed)
    for method in ("twin-a", "twin-b"):
        synthetic.run(tmp_path, method, 0, per_image=False)
    cells = column(table(read(tmp_path).aggregates[0], "accuracy"), "miou", "segmentation")
    assert not any(c.mark for c in cells.values())  # one value: nothing is better than anything


def test_a_tie_is_said_and_a_clear_gap_is_not(
    synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def metrics(method: str, dataset: str, seed: int, tasks: Any, share: float = 1.0) -> Any:
        values = {t.name: {m.name: synthetic.BASE[m.name] for m in t.metrics} for t in tasks}
        values["segmentation"]["miou"] = {"mtan": 30 + [0, 2, -1][seed], "nddr": 31.0, "den": 20.0}[method]
        return values

    monkeypatch.setattr(synthetic, "metrics", metrics)
    for method in ("mtan", "nddr", "den"):
        for seed in range(3):
            synthetic.run(tmp_path, method, seed, per_image=False)
    cells = column(table(read(tmp_path).aggregates[0], "accuracy"), "miou", "segmentation")
    assert cells["nddr"].mark == BEST
    assert cells["mtan"].tied
    assert not cells["den"].tied


def test_one_seed_has_no_interval_and_says_so(synthetic: ModuleType, tmp_path: Path, undrawn: None) -> None:
    for method in ("single-task", "hard-sharing", "nddr"):
        synthetic.run(tmp_path, method, 0)
    report = build.write(tmp_path)
    text = (tmp_path / "tables" / f"{report.aggregates[0].study.name}.md").read_text()
    assert markdown(words.ONE_SEED) in text
    assert "±" not in text.split("### Uncertainty")[0]
    assert "one seed: no intervals, no ranking claim" in text
    page = (tmp_path / "index.html").read_text()
    assert "One seed: no ranking." in page
    assert "Better than hard sharing" not in page


def test_above_every_table_stands_what_was_run(written: Report) -> None:
    for result in written.aggregates:
        text = (written.out / "tables" / f"{result.study.name}.md").read_text()
        for said in (
            "Selection: last step",
            "Budget: 1,000 steps",
            "Seeds: 3",
            "Commit: 0123456789ab",
            "`python -m mtlbench run",
        ):
            assert said in text
        assert ("Derived normals" in text) == (len(result.study.tasks) == 3)
        for tex in (written.out / "tables").glob(f"{result.study.name}-*.tex"):
            assert "% Selection: last step" in tex.read_text()


def test_an_oracle_is_labelled_wherever_it_shows(synthetic: ModuleType, tmp_path: Path, undrawn: None) -> None:
    for method in ("single-task", "hard-sharing", "nddr"):
        for seed in (0, 1):
            synthetic.run(tmp_path, method, seed, selection="best-test-oracle")
    report = build.write(tmp_path)
    for path in [*(tmp_path / "tables").glob("*.md"), *(tmp_path / "tables").glob("*.tex"), tmp_path / "index.html"]:
        assert "best-test-oracle" in path.read_text().replace("{-}", "-"), path.name
    from mtlbench.report.plots import figures as plots

    drawn = plots.figures(report.aggregates)
    assert drawn
    assert all("CHOSEN ON THE TEST SPLIT" in f.content["note"] for f in drawn)
    assert any("best-test-oracle" in str(x) or "CHOSEN" in str(x) for x in terminal(report))


def test_lost_runs_are_listed_with_their_reason(written: Report) -> None:
    text = "".join(p.read_text() for p in (written.out / "tables").glob("*.md"))
    for reason in (
        "diverged: loss of depth is not finite at step 400",
        "unfinished: the record has no end",
        "out of \\| memory",
    ):
        assert reason in text
    page = (written.out / "index.html").read_text()
    assert "loss of depth is not finite at step 400" in page


def test_published_figures_need_a_source_and_stand_apart(written: Report) -> None:
    published = table(written.aggregates[0], "published")
    assert [label for label, _ in published.rows] == ["AdaShare (published)"]
    assert any("Sun et al. 2020" in note for note in published.notes)
    assert not any("published" in label for label, _ in table(written.aggregates[0], "accuracy").rows)


def test_published_is_said_once(written: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    result = written.aggregates[0]
    run = result.study.runs[0]
    rows = tuple(r.model_copy(update={"label": "AdaShare (published)"}) for r in run.reference)
    monkeypatch.setattr(result.study, "runs", [replace(run, reference=rows)])
    assert [label for label, _ in table(result, "published").rows] == ["AdaShare (published)"]


def test_second_best_needs_a_third(synthetic: ModuleType, tmp_path: Path) -> None:
    for method in ("single-task", "nddr"):
        synthetic.run(tmp_path, method, 0, per_image=False)
    cells = column(table(read(tmp_path).aggregates[0], "accuracy"), "miou", "segmentation")
    assert sorted(c.mark for c in cells.values()) == ["", "", BEST]  # the constant predictor, the other, the best


def test_one_seed_has_differences_and_no_tests(synthetic: ModuleType, tmp_path: Path) -> None:
    for method in ("single-task", "hard-sharing"):
        synthetic.run(tmp_path, method, 0, per_image=False)
    assert {c.key for c in table(read(tmp_path).aggregates[0], "against-hard-sharing").columns} == {"gain"}
    for method in ("single-task", "hard-sharing"):
        synthetic.run(tmp_path, method, 1, per_image=False)
    found = table(read(tmp_path).aggregates[0], "against-hard-sharing")
    assert [c.key for c in found.columns[:3]] == ["gain", "p", "detectable"]
    assert all(len(cells) == len(found.columns) for _, cells in found.rows)


def test_the_header_names_budget_and_extra_steps(synthetic: ModuleType, tmp_path: Path) -> None:
    for method in ("single-task", "adashare"):
        folder = synthetic.run(tmp_path, method, 0, per_image=False, budget="final", timed=False)
    record = folder / "record.jsonl"
    *rest, end = record.read_text().splitlines()
    record.write_text("\n".join([*rest, end.replace('"step":1000', '"step":2500')]) + "\n")
    said = dict(header(read(tmp_path).aggregates[0]))["Budget"]
    assert said.startswith("1,000 steps, final (")
    assert said.endswith("; steps in all: adashare 2,500")


def test_the_header_names_rows_without_trials(synthetic: ModuleType, tmp_path: Path) -> None:
    for method in ("nddr", "mtan"):
        synthetic.run(tmp_path, method, 0, per_image=False)
    synthetic.run(tmp_path, "nddr", 99, role="tune")
    said = dict(header(read(tmp_path).aggregates[0]))["Tuning"]
    assert said.endswith("1 trial of 1,000 steps in all (table of tuning); without trials of their own: mtan")


def test_csv_has_every_figure_in_full(written: Report) -> None:
    for result in written.aggregates:
        path = written.out / "tables" / f"{result.study.name}-accuracy.csv"
        rows = {row["method"]: row for row in csv.DictReader(io.StringIO(path.read_text()))}
        for line in result.lines:
            row = next(r for name, r in rows.items() if name.split(" ‡")[0].split(" (2 of")[0] == line.label)
            series = line.values["segmentation", "miou"]
            assert float(row["segmentation/miou"]) == pytest.approx(sum(series.values()) / len(series))
            assert int(row["segmentation/miou:n"]) == len(series)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex (Debian: texlive-latex-recommended)")
def test_latex_takes_every_table(written: Report, tmp_path: Path) -> None:
    inputs = "".join(f"\\input{{{p}}}\n" for p in sorted((written.out / "tables").glob("*.tex")))
    head = (
        "\\documentclass{article}\\usepackage[T1]{fontenc}\\usepackage{textcomp,booktabs,graphicx}\\begin{document}\n"
    )
    hostile = Table("x", "a_b & 50 % $x$ \\input{y} ~^{}#<>|\"`", [Column("k", "ß Ω 表 \\", "gr_1", "%", True)],
                    [("row \\write18{} & _^~", [Cell(Summary(2, 1.5, 0.1, 1.0, 2.0), BEST)])], ["note %& \\"])  # fmt: skip
    (tmp_path / "h.tex").write_text(formats.to_latex(hostile, ["% \\end{document}", "line\nbreak"]))
    (tmp_path / "all.tex").write_text(head + inputs + "\\input{h}\n\\clearpage\\end{document}\n")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


def test_a_spreadsheet_reads_no_formula() -> None:
    for text in ("=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "\t=1", " =1", "＝1+1", "＠SUM(A1)", "\u00a0=1"):
        assert csv_text(text).startswith("'")
    assert csv_text("nddr") == "nddr"
    cells = formats.to_csv(
        Table("t", "t", [Column("=k", "k")], [("=cmd()", [Cell("=x")]), ("-1", [Cell(Summary(1, -1.5))])])
    )
    assert cells.splitlines()[0] == "method,'=k"
    assert cells.splitlines()[1] == "'=cmd(),'=x"
    assert cells.splitlines()[2] == "'-1,-1.5"


def test_markdown_keeps_a_name_a_name() -> None:
    text = markdown("a|b\n<script>`*_[x](y)# ~\\ $x^2$")
    assert text == "a\\|b &lt;script&gt;\\`\\*\\_\\[x\\](y)\\# \\~\\\\ \\$x^2\\$"


def test_latex_is_ascii_and_harmless() -> None:
    text = latex("é 表 \\input{x} 50% _^~ Δ ±")
    assert text.isascii()
    assert "\\input" not in text
    assert "\\textbackslash{}input\\{x\\}" in text


def test_clean_escapes_what_cannot_be_seen() -> None:
    assert clean("a\u202eb\x00c\ud800d\u200be") == "a\\u202eb\\x00c\\ud800d\\u200be"
    assert clean("two\nlines\u00a0\u3000é 表 😀") == "two lines  é 表 😀"
    assert clean("nddr\u200b") != clean("nddr")  # two methods never look like one
    assert len(clean("x" * 10_000)) == 200


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.25, "1.25"),
        (-0.001, "0.00"),
        (1e9, "1.00e+09"),
        (0.000004, "4.00e-06"),
        (None, "n/a"),
        (float("nan"), "n/a"),
        (10**400, "n/a"),
    ],
)
def test_numbers(value: Any, text: str) -> None:
    assert number(value) == text


def test_prefixes_durations_and_names() -> None:
    assert [si(x) for x in (18.53e9, 999.9, 0, 21.29e6)] == ["18.5 G", "1.00 k", "0", "21.3 M"]
    assert [duration(x) for x in (5, 42, 185, 8040)] == ["5.0 s", "42 s", "3 min 5 s", "2 h 14 min"]
    assert slug("../../A b<c>") == "a-b-c"
    assert slug("...") == "x"


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ("aaa", [(0, 3)]),
        ("aaaabbbbbbbb", [(0, 4), (4, 12)]),
        ("aaaabbbbbbcc", [(0, 10), (10, 12)]),
        ("a" * 18, [(0, 9), (9, 18)]),
        ("aa" + "b" * 21, [(0, 9), (9, 16), (16, 23)]),
        ("", [(0, 0)]),
    ],
)
def test_a_wide_latex_table_is_cut_between_groups(groups: str, expected: list[tuple[int, int]]) -> None:
    columns = [formats.Column(f"c{i}", "c", group) for i, group in enumerate(groups)]
    found = [(part.start, part.stop) for part in formats.blocks(columns)]
    assert found == expected
    assert all(stop - start <= formats.PAGE for start, stop in found)


def test_a_minus_in_latex_is_one_and_a_hyphen_stays() -> None:
    assert latex("-1.8 [-2.5, -.3]") == "$-$1.8 [$-$2.5, $-$.3]"
    assert latex("1.2e-05") == "1.2e$-$05"
    assert latex("(-3)") == "($-$3)"
    assert latex("single-task, resnet-18, a-1, 2024-06-01") == "single{-}task, resnet{-}18, a{-}1, 2024{-}06{-}01"
    assert latex("- 3") == "{-} 3"


def test_a_command_in_a_latex_comment_can_be_copied(written: Report) -> None:
    """As the page and Markdown have it, and nothing in it ends the comment."""
    for result in written.aggregates:
        command = dict(header(result))["Command"]
        text = (written.out / f"tables/{result.study.name}-cost.tex").read_text(encoding="utf-8")
        assert f"% Command: {command}\n" in text
        assert "--" in command
    column = Column("a", "A")
    evil = "x\n\\input{evil}\r\x85\u2028y"
    found = formats.to_latex(Table("t", "T", [column], [("r", [Cell("c")])]), [evil])
    back = r"\textbackslash{}"
    assert found.splitlines()[0] == rf"% x {back}input{{evil}} {back}x85{back}u2028y"
    assert found.split("\n")[1].startswith("% \\usepackage")
