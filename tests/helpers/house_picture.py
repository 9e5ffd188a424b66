"""The picture in docs/architecture.md, drawn from the floors that the test of the house holds.

`python -m tests.helpers.house_picture` draws it anew.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path

from tests.test_house import LEVELS, ROOT

PAGE = ROOT / "docs" / "architecture.md"
BLOCK = re.compile(r"```mermaid\n(.*?)```\n", re.DOTALL)


def said(room: str) -> str:
    """What a room is, in the words of its docstring up to the first full stop or colon."""
    folder = ROOT / "mtlbench" / room
    file = folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")
    text = ast.get_docstring(ast.parse(file.read_text())) or ""
    return re.split(r"[.:;(]", " ".join(text.split()).replace("`", ""))[0].strip()


def picture(levels: Sequence[set[str]] = LEVELS) -> str:
    """The floors from the top, each room with what it is; imports run along the arrows."""
    lines = ["flowchart TD"]
    for floor in range(len(levels) - 1, -1, -1):
        lines.append(f'  subgraph floor{floor}["floor {floor}"]')
        lines += [f'    {room}["<b>{room}</b><br/>{said(room)}"]' for room in sorted(levels[floor])]
        lines.append("  end")
    lines.append('  methods["<b>adashare, baselines</b><br/>the methods, plug-ins like a user\'s"]')
    lines += [f"  floor{floor} --> floor{floor - 1}" for floor in range(len(levels) - 1, 0, -1)]
    method = next(n for n, rooms in enumerate(levels) if "method" in rooms)
    return "\n".join([*lines, f"  methods --> floor{method}"]) + "\n"


def floors(drawn: str) -> list[set[str]]:
    """The rooms of each floor of a picture, from the ground up."""
    found = {}
    for number, body in re.findall(r"subgraph floor(\d+)\[.*?\]\n(.*?)\n  end", drawn, re.DOTALL):
        found[int(number)] = set(re.findall(r"^    (\w+)\[", body, re.MULTILINE))
    return [found[n] for n in sorted(found)]


def on_page(page: Path = PAGE) -> str:
    """The picture that the page holds."""
    match = BLOCK.search(page.read_text())
    assert match is not None, f"no mermaid picture in {page}"
    return match[1]


def main() -> None:
    """Draw the picture into the page."""
    text = f"```mermaid\n{picture()}```\n"
    PAGE.write_text(BLOCK.sub(lambda _: text, PAGE.read_text(), count=1))


if __name__ == "__main__":
    main()
