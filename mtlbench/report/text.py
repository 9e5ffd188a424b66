"""Numbers and names as text, and the escapes that keep a hostile name a name: in Markdown, LaTeX, CSV and file names."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable
from typing import Any

MISSING = "n/a"
_HIDDEN = {
    "Cc",
    "Cf",
    "Cs",
    "Co",
    "Cn",
    "Zl",
    "Zp",
}  # control, invisible, direction-changing, half and unknown characters


def clean(value: Any, limit: int = 200) -> str:
    """Any value as one line of at most `limit` visible characters; what cannot be seen is escaped, so names stay apart."""
    text = str(value)[: 4 * limit]
    if not text.isprintable():  # nothing hidden is, and of spaces only the plain one
        text = "".join(map(_visible, text))
    return text if len(text) <= limit else text[: limit - 1] + "…"


def seen(value: Any) -> Any:
    """A text of the page with what cannot be seen escaped, its spaces as they are; anything else as it is."""
    if type(value) is not str or value.isprintable():  # Markup is a str, and ours
        return value
    return "".join(c if c in " \n\u00a0" else _visible(c) for c in value)


def _visible(character: str) -> str:
    if character in "\t\r\n" or unicodedata.category(character) == "Zs":
        return " "
    hidden = unicodedata.category(character) in _HIDDEN
    return character.encode("unicode_escape").decode("ascii") if hidden else character


def slug(value: Any, limit: int = 40) -> str:
    """A name that is safe as a part of a file name on every system."""
    return re.sub(r"[^a-z0-9.+_]+", "-", clean(value).lower()).strip("-.")[:limit].strip("-.") or "x"


def number(value: float | None, digits: int = 2, sign: bool = False) -> str:
    """A number with so many decimals; very large or small ones with an exponent; n/a where there is none."""
    value = as_float(value)
    if value is None:
        return MISSING
    rounded = round(value, digits) + 0.0  # + 0.0: no "-0.00"
    if abs(value) >= 1e7 or (value != 0 and abs(value) < 0.5 * 10 ** -(digits + 2)):
        return f"{value:+.2e}" if sign else f"{value:.2e}"
    return f"{rounded:{'+' if sign else ''},.{digits}f}"


def as_float(value: Any) -> float | None:
    """A finite float, or None: records may hold null, NaN or integers that no float can."""
    if value is None or isinstance(value, bool):
        return None
    try:
        result = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


SCALES = ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def si(value: float | None, unit: str = "") -> str:
    """Three figures with a prefix: 18.5G, 21.3M, 940."""
    value = as_float(value)
    if value is None:
        return MISSING
    scale, letter = next(((s, p) for s, p in SCALES if abs(value) >= 0.9995 * s), (1.0, ""))
    scaled = value / scale
    digits = 0 if abs(scaled) >= 99.95 or (scale == 1.0 and scaled == int(scaled)) else 1 if abs(scaled) >= 9.995 else 2
    return number(scaled, digits) + (f" {letter}{unit}" if letter or unit else "")


def duration(seconds: float | None) -> str:
    """Seconds as the two largest units: 42 s, 3 min 5 s, 2 h 14 min."""
    value = as_float(seconds)
    if value is None:
        return MISSING
    if value < 60:
        return f"{value:.0f} s" if value >= 10 or value == 0 else f"{value:.1f} s"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60)} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60)} min" if value < 3.6e9 else f"{value:.1e} s"


LONG = 20_000  # characters of a sentence or a label that an escape lets through: names are shortened where they enter


def markdown(value: Any) -> str:
    """Text in a Markdown table cell or sentence: no markup, formula, HTML, link or cell boundary of its own."""
    text = clean(value, LONG).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|~#!$])", r"\\\1", text)


_CODE = re.compile(r"`((?:mtlbench |--)[\w ,.-]*)`")


def coded(text: str, escape: Callable[[str], str], code: Callable[[str], str]) -> str:
    """A sentence of ours with its commands and options, which stand in backticks, made code, and the rest escaped."""
    parts = _CODE.split(text)
    return "".join(code(part) if i % 2 else escape(part) for i, part in enumerate(parts))


def markdown_prose(text: str) -> str:
    """A sentence of ours in Markdown."""
    return coded(text, markdown, "`{}`".format)


def latex_prose(text: str) -> str:
    """A sentence of ours in LaTeX."""
    return coded(text, latex, lambda part: f"\\texttt{{{latex(part)}}}")


_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "#": r"\#",
    "%": r"\%",
    "_": r"\_",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "`": r"\textasciigrave{}",
    "-": "{-}",
    "↑": r"$\uparrow$",
    "↓": r"$\downarrow$",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "×": r"$\times$",
    "≈": r"$\approx$",
    "▲": r"$\bigtriangleup$",
    "▼": r"$\bigtriangledown$",
    "≥": r"$\geq$",
    "α": r"$\alpha$",
    "δ": r"$\delta$",
    "²": r"$^2$",
    "³": r"$^3$",
    "°": r"\textdegree{}",
    "·": r"\textperiodcentered{}",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "–": "--",
    "−": r"$-$",
    "…": r"\dots{}",
}


_MINUS = re.compile(r"(?<![^\s(\[])-(?=[\d.])|(?<=\de)-(?=\d)")  # before a number, not within a name


def minus(text: str) -> str:
    """A sentence or a figure with a real minus before its numbers; hyphens within names stay."""
    return _MINUS.sub("−", text) if "-" in text else text


def latex(value: Any) -> str:
    """Text in LaTeX, in ASCII alone: every special character escaped, other scripts as their base letters or '?'.

    A hyphen before a number is a minus, any other one keeps its width.
    """
    return "".join(_LATEX.get(c) or _ascii(c) for c in minus(clean(value, LONG)))


def latex_comment(value: Any) -> str:
    """A line of comment, in ASCII, that leaves a command in it as it is; a backslash and what could end the line do not."""
    return "% " + "".join(c if c.isascii() and c != "\\" else latex(c) for c in clean(value, LONG))


def _ascii(character: str) -> str:
    if character.isascii():
        return character
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return "".join(_LATEX.get(c, c) for c in base) or "?"


def csv_text(value: Any) -> str:
    """Text in a CSV cell: a spreadsheet must not read it as a formula."""
    text = clean(value, LONG)
    return "'" + text if text.lstrip()[:1] in tuple("=+-@|%＝＋－＠") and text.strip() else text
