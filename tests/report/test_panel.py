"""Delta against cost in a browser: what is drawn is what the tables say; hover, keys, buttons, folds; five studies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mtlbench.report import build
from mtlbench.report.analysis.aggregate import DELTA_PRIMARY, mean
from mtlbench.report.page.panel import panel
from mtlbench.report.plots.figures import Figure
from mtlbench.report.plots.looks import MARKERS, looks
from mtlbench.report.plots.pareto import front
from mtlbench.report.report import Report, read
from mtlbench.report.tables.naming import counted
from mtlbench.report.text import minus
from tests.helpers import chromium

HELPERS = """
window.box = document.querySelector('.panel[data-points]');
window.points = () => [...box.querySelectorAll('.point')];
window.said = () => box.querySelector('output').textContent;
window.press = name => [...box.querySelectorAll('button')].find(b => b.textContent.startsWith(name)).click();
window.centre = node => {
  const r = node.querySelector('.ring').getBoundingClientRect();
  return [(r.left + r.right) / 2, (r.top + r.bottom) / 2];
};
0"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if chromium.BINARY is None:
        pytest.skip("no chromium (Debian: chromium)")
    with chromium.Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture
def page(browser: Any, written: Report) -> Any:
    browser.open(written.out / "index.html")
    browser.run(HELPERS)
    return browser


def key(browser: Any, name: str) -> None:
    for kind in ("keyDown", "keyUp"):
        browser.call("Input.dispatchKeyEvent", type=kind, key=name)


def test_every_row_with_a_figure_and_a_cost_is_a_point(page: Any, written: Report) -> None:
    """Values, intervals and costs in words as the tables give them."""
    result = written.aggregates[0]
    told = page.run("points().map(p => p.getAttribute('aria-label'))")
    with_figure = [x for x in result.lines if x.series(DELTA_PRIMARY) and "macs" in x.costs]
    assert len(told) == len(with_figure) > 5
    assert [t.split(":")[0] for t in told] == [
        counted(x) for x in sorted(with_figure, key=lambda x: x.costs["macs"].mean)
    ]
    for line in with_figure:
        delta = mean(line.series(DELTA_PRIMARY))
        said = next(t for t in told if t.startswith(f"{counted(line)}: "))
        assert minus(f"Δ {delta.mean:+.1f}") in said
        assert minus(f"[{delta.low:+.1f}, {delta.high:+.1f}]") in said or line is result.line("independent")


def test_points_stand_where_their_figures_are(page: Any, written: Report) -> None:
    """On the screen: right is dearer and up is better, in proportion."""
    lines = {counted(x): x for x in written.aggregates[0].lines}
    places = page.run("points().map(p => [p.getAttribute('aria-label').split(':')[0], ...centre(p)])")
    (a, ax, ay), *_, (b, bx, by) = places
    told = {label: (x.costs["macs"].mean, mean(x.series(DELTA_PRIMARY)).mean) for label, x in lines.items()}
    for label, x, y in places:
        share = (told[label][0] - told[a][0]) / (told[b][0] - told[a][0])
        assert x == pytest.approx(ax + share * (bx - ax), abs=0.6)
        share = (told[label][1] - told[a][1]) / (told[b][1] - told[a][1])
        assert y == pytest.approx(ay + share * (by - ay), abs=0.6)


def test_the_front_is_the_static_figures(page: Any, written: Report) -> None:
    """A step for every unbeaten point of those that are no controls."""
    lines = [x for x in written.aggregates[0].lines if x.row.role == "study" and x.series(DELTA_PRIMARY)]
    best = front([(x.costs["macs"].mean, mean(x.series(DELTA_PRIMARY)).mean) for x in lines])
    assert page.run("box.querySelector('.front').getAttribute('d').split('V').length") == len(best)


def test_hovering_tells_and_leaving_stops(page: Any) -> None:
    note = page.run("said()")
    assert note == "Lines: 95 % t intervals over seeds."
    page.run("box.scrollIntoView()")
    x, y = page.run("centre(points()[2])")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    assert page.run("said()") == page.run("points()[2].getAttribute('aria-label')")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=2, y=2)
    assert page.run("said()") == note


def test_keys_go_from_point_to_point(page: Any) -> None:
    """One stop for Tab; arrows by rising cost and round; Home, End, Escape."""
    assert page.run("points().filter(p => p.tabIndex === 0).length") == 1
    page.run("points()[0].focus()")
    told = page.run("points().map(p => p.getAttribute('aria-label'))")
    for name, index in (
        ("ArrowRight", 1),
        ("ArrowDown", 2),
        ("ArrowLeft", 1),
        ("Home", 0),
        ("ArrowLeft", -1),
        ("End", -1),
    ):
        key(page, name)
        assert page.run("said()") == told[index], name
    key(page, "Escape")
    assert page.run("said()").startswith("Lines:")


def test_a_button_chooses_the_cost(page: Any, written: Report) -> None:
    before = page.run("points().map(p => centre(p)[0])")
    page.run("press('Parameters')")
    assert page.run("box.querySelector('[aria-pressed=true]').textContent") == "Parameters"
    assert page.run("points().map(p => centre(p)[0])") != before
    lines = sorted(
        (x for x in written.aggregates[0].lines if x.series(DELTA_PRIMARY)), key=lambda x: x.costs["parameters"].mean
    )
    told = page.run("points().map(p => p.getAttribute('aria-label').split(':')[0])")
    assert {told[0], told[-1]} <= {counted(x) for x in (lines[0], *lines)}
    assert [next(x for x in lines if counted(x) == t).costs["parameters"].mean for t in told] == [
        x.costs["parameters"].mean for x in lines
    ]


def test_names_meet_neither_each_other_nor_points(page: Any) -> None:
    script = """(() => {
      const name = [...box.querySelectorAll('.name')].map(n => n.getBoundingClientRect());
      const mark = points().map(p => p.querySelector('.mark').getBoundingClientRect());
      const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom - 2 && b.top < a.bottom - 2;
      let count = 0;
      name.forEach((a, i) => { count += [...name.slice(i + 1), ...mark].filter(b => meet(a, b)).length; });
      return [name.length, count];
    })()"""
    shown, collisions = page.run(script)
    assert shown >= 4
    assert collisions == 0


def test_every_marker_has_a_shape() -> None:
    source = (Path(build.__file__).parent / "page" / "templates" / "panel.js").read_text()
    shapes = source[source.index("const SHAPES") : source.index("const ticks")]
    for marker in MARKERS:
        assert f'"{marker}":' in shapes or f" {marker}: " in shapes, marker


def test_one_seed_says_so_and_without_single_task_it_is_skill(synthetic: ModuleType, tmp_path: Path) -> None:
    for method in ("hard-sharing", "nddr"):
        synthetic.run(tmp_path, method, 0, per_image=False, curve=1)
    (result,) = read(tmp_path).aggregates
    found = json.loads(panel(result, looks([result])))
    assert found["note"] == "One seed: no interval, no ranking."
    assert (found["axis"], found["zero"]) == ("mean skill", False)
    assert all(p["span"] is None for p in found["points"])


def test_studies_fold_and_the_first_screen_answers(page: Any, written: Report) -> None:
    """The question, its answer and the table over all studies are seen before scrolling; how it was run and figures fold."""
    for place in (".headline", "#t-overview tbody tr"):
        assert page.run(f"document.querySelector('{place}').getBoundingClientRect().bottom") < 900
    assert page.run("document.querySelector('.study details.how dl').checkVisibility()") is False
    page.run("document.querySelector('.study details.how summary').click()")
    assert page.run("document.querySelector('.study details.how dl').checkVisibility()") is True
    targets = page.run("[...document.querySelectorAll('nav.studies a')].map(a => a.getAttribute('href').slice(1))")
    assert targets == [r.study.name for r in written.aggregates]


def test_a_page_of_five_studies_is_small_and_short(
    synthetic: ModuleType, browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under 3 MB whatever its figures take, and under 10,000 pixels where it once was 18,000."""
    heavy = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 4"><desc>' + b"x" * 150_000 + b"</desc></svg>"
    monkeypatch.setattr(Figure, "draw", lambda self: {"png": b"", "svg": heavy, "narrow.svg": heavy})
    for d in range(5):
        for method in synthetic.METHODS:
            synthetic.run(tmp_path, method, 0, f"data-{d}", per_image=False, curve=3)
    build.write(tmp_path)
    assert (tmp_path / "index.html").stat().st_size < 3e6
    browser.open(tmp_path / "index.html")
    assert browser.run("document.documentElement.scrollHeight") < 10_000
    assert browser.run("document.querySelector('.headline').textContent").startswith("One seed: no ranking.")


def test_strange_costs_draw_without_an_error(
    synthetic: ModuleType, browser: Any, tmp_path: Path, undrawn: None
) -> None:
    """Costs that are all zero, negative, huge or missing; no latency was taken, and the form asks for none."""
    changes = {"single-task": "0", "hard-sharing": "-5e9", "nddr": "9e29", "adashare": "1e300"}
    for method, macs in changes.items():
        folder = synthetic.run(tmp_path, method, 0, per_image=False, curve=1, timed=False)
        record = folder / "record.jsonl"
        lines = [json.loads(x) for x in record.read_text().splitlines()]
        for line in lines:
            if line["kind"] == "cost":
                line["macs"]["total"], line["parameters"]["total"] = float(macs), 0
        record.write_text("".join(json.dumps(x) + "\n" for x in lines))
    build.write(tmp_path)
    browser.open(tmp_path / "index.html")
    browser.run(HELPERS)
    assert browser.run("points().length") == 3
    browser.run("press('Parameters')")
    assert browser.run("points().length") == 4
    assert browser.run("document.querySelector('form.limits').elements.latency === undefined")
    assert browser.errors == []
