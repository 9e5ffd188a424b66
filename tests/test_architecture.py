"""The page of the house says what the house is: its floors, and files that are there."""

import re

import pytest

from tests.helpers.house_picture import PAGE, floors, on_page, picture
from tests.test_house import LEVELS, ROOT

PAGES = ("docs/architecture.md", "CONTRIBUTING.md")


def test_the_picture_shows_the_floors_of_the_test():
    assert floors(on_page()) == LEVELS, "run `python -m tests.helpers.house_picture`"


def test_a_room_on_another_floor_would_be_seen():
    moved = [*(set(rooms) - {"report"} for rooms in LEVELS[:-1]), LEVELS[-1] | {"report"}]
    assert floors(picture(moved)) == moved != LEVELS


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_names_is_there(page):
    text = (ROOT / page).read_text()
    named = re.findall(r"`((?:mtlbench|adashare|baselines|tests|docs)/[\w./-]*)`", text)
    assert len(named) >= 5
    assert [n for n in named if not (ROOT / n).exists()] == []


def test_each_way_has_five_steps_with_files():
    ways = re.findall(r"## The way of a (\w+)\n(.*?)\n\n", PAGE.read_text(), re.DOTALL)
    assert [name for name, _ in ways] == ["batch", "policy", "record", "setting"]
    for name, text in ways:
        steps = re.split(r"^\d\. ", text, flags=re.MULTILINE)[1:]
        assert len(steps) == 5, name
        assert all("`" in step for step in steps), name
