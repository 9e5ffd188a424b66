"""A method's colour and marker: by its name for ever, told apart by readers who see fewer colours."""

from __future__ import annotations

import itertools
import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from mtlbench.report.plots import style
from mtlbench.report.plots.looks import BUILT_IN, COLOURS, GREY, INK, MARKERS, look, looks, order
from mtlbench.report.report import read

ROOT = Path(__file__).parents[2]
Floats = NDArray[np.float64]

# Machado, Oliveira and Fernandes (2009), table 1, severity 1.0: linear RGB as protan, deutan and tritan readers see it
SIGHT = {
    "all": np.eye(3),
    "protan": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deutan": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritan": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}  # fmt: skip


def linear(colour: str) -> Floats:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: Floats) -> Floats:
    """CIE L*a*b* of linear sRGB, white D65."""
    to_xyz = np.array(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    )
    xyz = to_xyz @ np.clip(rgb, 0, 1) / np.array([0.95047, 1.0, 1.08883])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(a: str, b: str, sight: str) -> float:
    """How far apart two colours are to such a reader (CIE 1976; 2.3 is just noticeable)."""
    return float(np.linalg.norm(lab(SIGHT[sight] @ linear(a)) - lab(SIGHT[sight] @ linear(b))))


def test_the_measure_is_right() -> None:
    """L* of the greys, and red as the standard has it."""
    assert lab(linear("#ffffff")) == pytest.approx([100, 0, 0], abs=0.02)
    assert lab(linear("#ff0000")) == pytest.approx([53.24, 80.09, 67.20], abs=0.05)
    assert distance("#ff0000", "#00aa00", "deutan") < distance("#ff0000", "#00aa00", "all") / 2


def test_every_built_in_method_has_a_look_of_its_own() -> None:
    """The names are pyproject's; all 13 markers are used, and the anchors' by nobody else."""
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["mtlbench.methods"]
    pairs = {look(n)[:2]: n for n in names}
    assert len(pairs) == len(names), "two methods look alike: give the new one a place in looks.json"
    assert len(BUILT_IN) >= 12
    assert {x.marker for x in BUILT_IN.values()} == set(MARKERS)
    assert [n for n, x in BUILT_IN.items() if x.marker in MARKERS[:2]] == ["single-task", "hard-sharing"]
    assert [look("single-task").colour, look("hard-sharing").colour] == [INK, GREY]


@pytest.mark.parametrize("sight", SIGHT)
def test_colours_are_told_apart_by_whoever_looks(sight: str) -> None:
    """Any two colours that stand with one marker: ten just noticeable differences for most eyes, six for any."""
    pairs = itertools.combinations(COLOURS, 2)
    closest = min((distance(a, b, sight), a, b) for a, b in pairs)
    assert closest[0] > (23 if sight == "all" else 15), closest


def test_two_dozen_methods_are_told_apart_by_marker_or_colour(synthetic: object) -> None:
    """Built-in and unknown ones together: where markers are equal, colours are not for any reader."""
    names = [*BUILT_IN, *(f"mine-{i}" for i in range(12))]
    found = [look(n) for n in names]
    for (m, a), (n, b) in itertools.combinations(zip(names, found, strict=True), 2):
        if a[:2] != b[:2] and a.marker == b.marker:
            assert min(distance(a.colour, b.colour, sight) for sight in SIGHT) > 15, (m, n)
    assert not {x[:2] for x in BUILT_IN.values()} & {look(f"mine-{i}")[:2] for i in range(500)}


def test_a_look_depends_on_the_name_alone(small: Path) -> None:
    """In whichever studies and beside whomever; pinned, as it is for ever."""
    results = read(small).aggregates
    whole, one = looks(results), looks(results[:1])
    assert {label: whole[label] for label in one} == one
    assert look("my-method") == look("my-method")
    assert (look("adashare"), look("my-method")) == (BUILT_IN["adashare"], ("#E69F00", "p", 0))
    for label, found in whole.items():
        assert found[:2] == look(label.split(" ")[0])[:2]


def test_rows_of_one_method_and_controls_are_variants(small: Path) -> None:
    found = looks(read(small).aggregates)
    control = next(label for label in found if label.startswith("hard-sharing [control"))
    assert found["hard-sharing"].variant == 0
    assert found[control].variant > 0
    assert len(set(found.values())) == len(found)
    assert sorted(found.values(), key=order)[0] == found["single-task"]


def test_rows_whose_names_begin_alike_stay_two_in_a_legend() -> None:
    """Settings lose the beginning that they share before a label is cut; what is still cut alike keeps its own entry."""
    long = "random-policy (adashare.lambda_sharing={}, adashare.lambda_sparsity=0.001)"
    assert style.shorten(long.format(0.01)) == "random-policy (sharing=0.01, sparsity=0.001)"
    assert style.shorten("nddr (knob=" + "9" * 60 + ")") == "nddr (knob=" + "9" * 34 + "…"
    assert style.shorten("nddr (a=1, b=2)") == "nddr (a=1, b=2)"
    with style.phone():
        assert style.shorten(long.format(0.01)) == "random-policy (sharing=…"
    made = style.figure(2.0)
    axes = made.subplots()
    for value in ("0.42" + "0" * 40 + "1", "0.42" + "0" * 40 + "2"):
        axes.plot([0], [0], label=long.format(value))
    style.legend(made, axes)
    (one, two) = made.legends[0].get_texts()
    assert one.get_text() == two.get_text() and one.get_text().endswith("…")
