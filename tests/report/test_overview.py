"""All studies at once: one family of tests, what is known and what is not, on the page, in tables, in a terminal."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from mtlbench.report.analysis.merit import interval
from mtlbench.report.analysis.overview import overview
from mtlbench.report.analysis.statistics import holm
from mtlbench.report.page.answers import ONE_SEED, answer
from mtlbench.report.page.overall import headline, known, unknown
from mtlbench.report.plots.looks import looks
from mtlbench.report.reading.reported_run import ReportedRun
from mtlbench.report.report import read
from mtlbench.report.tables.comparisons import p_text
from mtlbench.report.tables.formats import BETTER, WORSE, to_latex, to_markdown
from mtlbench.report.tables.header import title
from mtlbench.report.tables.overview import effects_table, overview_table
from mtlbench.report.tables.words import NAMED
from tests.report.test_claims import made, null, template, with_controls

__all__ = ["template"]  # a fixture

SAID = ("Better than", "Worse than", "Over ")


def test_every_gain_of_every_study_is_one_family(small: Path) -> None:
    """Corrected together: the p values of all studies through Holm at once, which is more than each alone asks for."""
    results = read(small).aggregates
    found = overview(results)
    gains = [(r, c) for r in results for c in r.claims if c.kind == "gain"]
    fixed = holm([c.test.p for _, c in gains])
    assert len(found.tests) == len(gains) > 8
    for (result, claim), p in zip(gains, fixed, strict=True):
        assert found.tests[result.study.name, claim.line.label].corrected == pytest.approx(p, nan_ok=True)


def test_the_table_marks_what_survives_and_nothing_else(small: Path) -> None:
    found = overview(read(small).aggregates)
    table = overview_table(found)
    assert [label for label, _ in table.rows][:2] == ["single-task", "hard-sharing"]
    marked = {(result.study.name, label): cell.sign for label, cells in table.rows
              for result, cell in zip(found.results, cells, strict=True) if cell.sign}  # fmt: skip
    real = {(r.study.name, x.label): s for sign, s in ((1, BETTER), (-1, WORSE)) for r, x, _ in found.real(sign)}
    assert marked == real
    assert real
    assert BETTER in to_markdown(table)
    assert r"$\bigtriangleup$" in to_latex(table, [])


def test_each_study_has_its_sentence_with_every_interval(small: Path) -> None:
    found = overview(read(small).aggregates)
    told = [s for s in known(found) if s.startswith("Better than hard sharing in ")]
    real = found.real(1)
    assert len(told) == len({r.study.name for r, _, _ in real}) > 1
    for result, line, test in real:
        (own,) = (s for s in told if f" in {title(result.study)}, at equal steps: " in s)
        assert f"{line.label} {interval(test.difference, 1)} (p {p_text(test.corrected)})" in own


def test_one_seed_is_the_headline(synthetic: ModuleType, tmp_path: Path) -> None:
    for dataset in ("a", "b"):
        for method in ("single-task", "hard-sharing", "nddr"):
            synthetic.run(tmp_path, method, 0, dataset, per_image=False, curve=1)
    found = read(tmp_path).overview
    assert known(found) == [ONE_SEED]
    assert headline(found) == ONE_SEED
    assert any("with one seed there is no interval and no test" in s for s in unknown(found))
    assert not any(cell.sign for _, cells in overview_table(found).rows for cell in cells)


def test_studies_of_one_seed_beside_others_are_named_as_unknown(synthetic: ModuleType, tmp_path: Path) -> None:
    for dataset, seeds in (("a", 3), ("b", 1)):
        for method in ("single-task", "hard-sharing", "nddr"):
            for seed in range(seeds):
                synthetic.run(tmp_path, method, seed, dataset, per_image=False, curve=1)
    found = read(tmp_path).overview
    assert "One seed, so no ranking: b: segmentation, normals (derived), depth." in unknown(found)
    assert any(s.startswith("Nothing is said over data sets") for s in unknown(found))


def test_what_was_not_found_is_said_with_the_size_that_would_have_been(template: ReportedRun) -> None:
    found = overview([null(template, 3, 5, np.random.default_rng(2))])
    sizes = [t.detectable for t in found.tests.values()]
    assert known(found)[0].startswith("No method is shown to differ from hard sharing in ")
    said = next(s for s in unknown(found) if "not told apart from hard sharing" in s)
    assert f"a difference of {min(sizes):.1f} to {max(sizes):.1f} points of Δ would have been found" in said


def test_a_figure_of_fewer_seeds_says_so_and_stands_under_what_is_not_known(
    synthetic: ModuleType, tmp_path: Path
) -> None:
    for method, seeds in (("single-task", 3), ("hard-sharing", 3), ("nddr", 1)):
        for seed in range(seeds):
            synthetic.run(tmp_path, method, seed, "a", per_image=False, curve=1)
    found = read(tmp_path).overview
    table = overview_table(found)
    assert dict(table.rows)["nddr"][0].show(table.columns[0]).endswith(" (1 of 3 seeds)")
    assert not any(cells[0].note for label, cells in table.rows if label != "nddr")
    said = "a: segmentation, normals (derived), depth: whether nddr differs from hard sharing; "
    assert f"{said}too few seeds in common for a test." in unknown(found)


def test_what_many_studies_did_not_find_is_one_sentence(template: ReportedRun) -> None:
    rng = np.random.default_rng(4)
    results = [null(template, 3, 4, rng) for _ in range(5)]
    for i, result in enumerate(results):
        result.study.name = f"study-{i}"
    found = overview(results)
    (said,) = (s for s in unknown(found) if "not told apart" in s)
    sizes = [t.detectable for t in found.tests.values() if not t.real]
    assert said.startswith(f"In {len(sizes)} comparisons of 5 studies methods are not told apart from hard sharing")
    assert f"a difference of {min(sizes):.1f} to {max(sizes):.1f} " in said


def test_unequal_training_is_said(synthetic: ModuleType, tmp_path: Path) -> None:
    """Budget final without a control at equal training; and a study without hard sharing."""
    for method in ("single-task", "hard-sharing", "nddr"):
        for seed in range(2):
            synthetic.run(tmp_path, method, seed, "a", per_image=False, curve=1, budget="final")
            if method != "hard-sharing":
                synthetic.run(tmp_path, method, seed, "b", per_image=False, curve=1)
    said = unknown(read(tmp_path).overview)
    assert any(s.startswith("a: ") and "a gain may be that of training" in s for s in said)
    assert any(s.startswith("b: ") and "no run of hard sharing" in s for s in said)


def test_a_win_over_short_hard_sharing_alone_is_no_answer(template: ReportedRun) -> None:
    lost = overview([with_controls(template, 1.1, 1.0, 0.99)])
    assert not any("search" in s for s in known(lost) if s.startswith("Better"))
    won = overview([with_controls(template, 1.1, 1.05, 1.04)])
    assert known(won)[0].startswith("Better than hard sharing in ")
    assert ", at equal training: search +" in known(won)[0]
    assert headline(won).startswith("Better than hard sharing: search; worse than hard sharing: alone.")
    assert "search" not in headline(lost)


def test_pages_of_equal_methods_say_something_false_in_five_of_a_hundred(template: ReportedRun) -> None:
    """Five studies of seven equal methods, each corrected alone: at least one false sentence in some 15 % and more."""
    rng = np.random.default_rng(11)
    pages, whole, alone = 25, 0, 0
    for _ in range(pages):
        results = [null(template, 3, 7, rng) for _ in range(5)]
        for i, result in enumerate(results):
            result.study.name = f"study-{i}"
        whole += any(s.startswith(SAID) for s in known(overview(results)))
        alone += any(c.test.real for r in results for c in r.claims if c.kind == "gain")
    assert whole / pages <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / pages)
    assert whole <= alone


@pytest.mark.parametrize("alone", ["hard-sharing", "nddr"])
def test_a_row_alone_is_compared_with_nothing(synthetic: ModuleType, tmp_path: Path, alone: str) -> None:
    """Neither hard sharing alone nor a method without it is "not shown to differ"."""
    for seed in (0, 1, 2):
        synthetic.run(tmp_path, alone, seed, "a", per_image=False)
    found = read(tmp_path)
    said = " ".join([headline(found.overview), *known(found.overview), *answer(found.aggregates[0])])
    assert "Nothing is compared" in headline(found.overview)
    assert "shown to differ" not in said


def test_no_runs_no_answer() -> None:
    assert known(overview([])) == ["No finished run has a figure yet."]
    assert unknown(overview([])) == []


def test_a_method_of_one_study_has_no_figure_in_the_others(template: ReportedRun) -> None:
    rng = np.random.default_rng(0)
    errors = {f"m{i}": 1 + rng.normal(0, 0.02, (3, 3)) for i in range(4)}
    two = [made(template, errors), made(template, dict(list(errors.items())[:3]))]
    two[1].study.name = "another"
    rows = dict(overview_table(overview(two)).rows)
    column = overview_table(overview(two)).columns[1]
    assert rows["m3"][1].show(column) == "n/a"


def test_what_is_not_shown_over_data_sets_is_not_known(synthetic: ModuleType, tmp_path: Path) -> None:
    """With the methods' names and the size that would have been found, and not among what is known."""
    for dataset in ("a", "b", "c"):
        for method in ("single-task", "hard-sharing"):
            for seed in range(3):
                synthetic.run(tmp_path, method, seed, dataset, per_image=False, curve=1)
    found = read(tmp_path).overview
    (over,) = found.over
    effects = [replace(e, test=replace(e.test, corrected=0.4, detectable=7.0)) for e in over.effects]
    none = replace(found, over=[replace(over, effects=tuple(effects))])
    assert not any(s.startswith("Over 3 data sets") for s in known(none))
    (said,) = (s for s in unknown(none) if s.startswith("Data sets in general"))
    assert "over 3 (a, b, c) no difference to hard sharing is shown of single-task; one of 7.0 points of Δ" in said
    shown = [replace(e, test=replace(e.test, corrected=0.01)) for e in effects]
    real = replace(found, over=[replace(over, effects=tuple(shown))])
    assert any(s.startswith("Over 3 data sets (a, b, c) single-task is ") for s in known(real))
    assert not any(s.startswith("Data sets in general") for s in unknown(real))


def test_a_tuned_row_stands_beside_the_methods_rows_of_other_studies(synthetic: ModuleType, tmp_path: Path) -> None:
    """In the study of data set a, nddr has a row that trials chose and one beside them; b and c have one row each."""
    for dataset in ("a", "b", "c"):
        for method in ("single-task", "hard-sharing", "nddr"):
            for seed in range(2):
                synthetic.run(tmp_path, method, seed, dataset, per_image=False, curve=1)
    for seed in range(2):
        synthetic.run(tmp_path, "nddr", seed, "a", per_image=False, curve=1, options={"knob": 7.0})
    alone = read(tmp_path).overview
    assert alone.names == ["single-task", "hard-sharing", "nddr", "nddr (knob=-)", "nddr (knob=7.0)"]
    assert [e.label for e in alone.over[0].effects] == ["single-task"]
    for knob in (7.0, 9.0):
        synthetic.run(tmp_path, "nddr", 99, "a", per_image=False, curve=1, role="tune", options={"knob": knob})
    results = read(tmp_path).aggregates
    for study in (r.study for r in results if r.study.trials):
        study.trials = [replace(t, validation=10 - t.config["options"]["knob"]) for t in study.trials]
    found = overview(results)
    assert found.names == ["single-task", "hard-sharing", "nddr", "nddr (knob=-)"]
    (over,) = found.over
    assert [e.label for e in over.effects] == ["nddr", "single-task"] and over.left_out == ("nddr (knob=-)",)
    lines = {r.study.config["dataset"]: found.line(r, "nddr") for r in found.results}
    assert [x.label for _, x in sorted(lines.items()) if x] == ["nddr (knob=7.0)", "nddr", "nddr"]
    assert NAMED in overview_table(found).notes[0] and NAMED in effects_table(over).notes[0]
    assert NAMED not in overview_table(alone).notes[0] and NAMED not in effects_table(alone.over[0]).notes[0]
    drawn = {label: look.variant for label, look in looks(results).items() if label.startswith("nddr")}
    assert drawn == {"nddr (knob=7.0)": 0, "nddr": 0, "nddr (knob=-)": 1}, "the tuned row is the filled one"
