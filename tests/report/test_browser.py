"""The page in a real browser, opened from disk: no error, nothing asked for elsewhere, sorting, filtering, limits, links."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from mtlbench.report import build
from mtlbench.report.report import Report
from tests.helpers import chromium

pytestmark = pytest.mark.skipif(chromium.BINARY is None, reason="no chromium (Debian: chromium)")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium.Browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


def quiet(browser: Any, root: Path) -> None:
    assert browser.errors == []
    assert browser.requests
    assert all(url.startswith(root.as_uri()) for url in browser.requests), browser.requests


HELPERS = """
window.table = document.querySelector('section.study table');
window.rows = () => [...table.tBodies[0].rows].filter(row => !row.hidden);
window.column = i => rows().map(row => row.cells[i].dataset.v ?? row.cells[i].textContent.trim());
window.press = i => table.querySelectorAll('thead tr:last-child button')[i].click();
window.enter = (field, text) => { field.value = text; field.dispatchEvent(new Event('input', {bubbles: true})); };
window.broken = () => Promise.all([...document.images].map(image => {
  image.loading = 'eager';
  return image.decode().then(() => 0, () => 1);
})).then(each => each.reduce((a, b) => a + b, 0));
window.colours = selector => {
  const element = document.querySelector(selector);
  if (!element) return null;
  let back = element;
  while (back && getComputedStyle(back).backgroundColor === 'rgba(0, 0, 0, 0)') back = back.parentElement;
  return [selector, getComputedStyle(element).color, getComputedStyle(back ?? document.body).backgroundColor];
};
0"""


def index(browser: Any, root: Path) -> None:
    """Open the page, with helpers for the tests beside its own script."""
    browser.open(root / "index.html")
    browser.run(HELPERS)


def test_the_page_opens_and_asks_for_nothing_else(browser: Any, written: Report) -> None:
    index(browser, written.out)
    assert browser.run("document.images.length") > 4
    assert browser.run("broken()") == 0
    quiet(browser, written.out)


def test_columns_sort_both_ways(browser: Any, written: Report) -> None:
    index(browser, written.out)
    names = browser.run("column(0)")
    browser.run("press(1)")
    values = [float(v) for v in browser.run("column(1)") if v]
    assert values == sorted(values, reverse=True)
    assert browser.run("document.querySelector('th[aria-sort]').getAttribute('aria-sort')") == "descending"
    assert browser.run("column(1)")[-1] == ""  # the constant predictor has no Delta: last, whichever way
    browser.run("press(1)")
    assert [float(v) for v in browser.run("column(1)") if v] == sorted(values)
    assert browser.run("column(1)")[-1] == ""
    browser.run("press(0)")
    assert browser.run("column(0)") == sorted(names, key=str.lower)
    quiet(browser, written.out)


def test_the_overall_delta_is_seen_without_scrolling(browser: Any, written: Report) -> None:
    index(browser, written.out)
    heads = "[...table.querySelectorAll('thead tr:last-child button')].map(b => b.textContent)"
    assert browser.run(heads)[1].startswith("Δ (%)")
    assert browser.run("table.querySelector('thead tr.groups th').textContent") == "all tasks"
    delta = browser.run("table.rows[1].cells[1].getBoundingClientRect().right")
    assert delta < 1280 / 3


def test_rows_are_filtered(browser: Any, written: Report) -> None:
    index(browser, written.out)
    before = browser.run("column(0)")
    browser.run("enter(document.querySelector('section.study input[type=search]'), 'ADASHARE')")
    assert [c.split(" ")[0] for c in browser.run("column(0)")] == ["adashare"]
    assert browser.run("document.querySelector('section.study [role=status]').textContent") == "1 rows"
    browser.run("enter(document.querySelector('section.study input[type=search]'), '')")
    assert browser.run("column(0)") == before


def test_columns_of_a_task_can_be_hidden(browser: Any, written: Report) -> None:
    index(browser, written.out)
    shown = "[...rows()[0].cells].filter(cell => !cell.hidden).length"
    before = browser.run(shown)
    browser.run("document.querySelector('input[type=checkbox]').click()")
    assert browser.run(shown) == before - 3  # mIoU, pixel accuracy and their Delta


def test_limits_choose_as_the_command_does(browser: Any, written: Report) -> None:
    from mtlbench.report.recommend import choose, limits

    index(browser, written.out)
    said = "document.querySelector('form.limits output').textContent"
    for given in ((None, None, None), ("1.5x", None, None), ("1.5x", "0.8G", None), (None, None, "8ms")):
        best = choose(written.aggregates[0], limits(*given)).best
        assert best is not None
        for name, text in zip(("ratio", "macs", "latency"), given, strict=True):
            browser.run(
                f"enter(document.querySelector('form.limits').elements.{name}, '{(text or '').rstrip('xGms')}')"
            )
        assert browser.run(said).startswith(best.label + ":")
    most = max(line.costs["macs"].mean for line in written.aggregates[0].lines)
    assert most >= 1e9  # what is asked for has the letter of the largest
    assert browser.run("document.querySelector('form.limits').elements.macs.labels[0].textContent").endswith("G")
    browser.run("enter(document.querySelector('form.limits').elements.macs, '0.001')")
    assert browser.run(said) == "No method is within these limits."


def test_every_link_leads_somewhere(browser: Any, written: Report) -> None:
    browser.open(written.out / "index.html")
    links = browser.run("[...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href'))")
    for link in set(links):
        name, _, fragment = link.partition("#")
        assert not name or (written.out / name).is_file(), link
        assert not fragment or browser.run(f"document.getElementById({fragment!r}) !== null"), link
    page = written.out / next(x for x in links if x.startswith("runs/") and "adashare" in x)
    browser.open(page)
    quiet(browser, written.out)
    assert browser.run("document.querySelectorAll('section.run').length") == 3
    assert browser.run("document.querySelectorAll('table.policy').length") == 3
    assert (
        page.parent / browser.run("document.querySelector('header a').getAttribute('href').split('#')[0]")
    ).is_file()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_screen(written: Report, tmp_path: Path, width: int) -> None:
    with chromium.Browser(tmp_path / "profile", width, 800) as browser:
        rows = [next((written.out / "runs").glob(f"*--{name}-*.html")) for name in ("adashare", "nddr")]
        for page in (written.out / "index.html", *rows):
            browser.open(page)
            assert browser.run("document.documentElement.scrollWidth") <= width, page
            shown = browser.run("[...document.querySelectorAll('table.policy td')].map(cell => cell.textContent)")
            assert all(text.isdecimal() for text in shown)


def test_it_can_be_read_without_eyes_or_mouse(browser: Any, written: Report) -> None:
    browser.open(written.out / "index.html")
    assert browser.run("document.documentElement.lang") == "en"
    assert browser.run("[...document.images].every(i => i.alt.length > 10)")
    assert browser.run("[...document.querySelectorAll('input')].every(i => i.labels.length || i.ariaLabel)")
    assert browser.run(
        "[...document.querySelectorAll('table')].every(t => t.caption && t.querySelector('th[scope=row]'))"
    )
    assert browser.run("[...document.querySelectorAll('.scroll')].every(s => s.tabIndex === 0 && s.ariaLabel)")
    assert browser.run("document.querySelectorAll('h1').length") == 1
    ids = browser.run("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out_in_light_and_dark(browser: Any, written: Report, dark: bool) -> None:
    """WCAG AA: 4.5 to 1 for text and notes on their backgrounds."""
    index(browser, written.out)
    browser.run(f"document.documentElement.dataset.theme = '{'dark' if dark else 'light'}'")
    places = ["body", ".notes p", ".answer p", "th[scope=row] a", "td.best", "figcaption", "header.top p", ".warn li"]
    pairs = [p for place in places if (p := browser.run(f"colours('{place}')"))]
    assert len(pairs) > 5
    for name, ink, paper in pairs:
        a, b = sorted((_luminance(ink), _luminance(paper)))
        assert (b + 0.05) / (a + 0.05) >= 4.5, (name, ink, paper)


def _luminance(colour: str) -> float:
    red, green, blue = (int(x) / 255 for x in re.findall(r"\d+", colour)[:3])
    light = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2]


def test_hostile_names_run_nothing(browser: Any, synthetic: ModuleType, tmp_path: Path, undrawn: None) -> None:
    evil = "<img src=x onerror=window.hacked=1></script><script>window.hacked=1</script>'\"`{{7*7}}"
    for i, method in enumerate(("single-task", "hard-sharing", evil)):
        synthetic.run(tmp_path, method, 0, name=f"run-{i}", options={evil: evil}, per_image=False)
    record = tmp_path / "records" / "run-2" / "record.jsonl"
    record.write_text(record.read_text().replace("A processor", json.dumps(evil)[1:-1]))
    report = build.write(tmp_path)
    for path in [tmp_path / "index.html", *(tmp_path / "runs").iterdir()]:
        browser.open(path)
        assert browser.run("window.hacked === undefined")
        quiet(browser, tmp_path)
    index(browser, tmp_path)
    assert evil[:40] in browser.run("document.body.textContent")
    assert len(report.aggregates[0].lines) == 3
