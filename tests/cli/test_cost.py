"""`mtlbench cost`."""

import json

import pytest

from tests.helpers.command import BRANCHES, refused, run

WRONG = [
    (["cost", "--tasks", "segmentatio"], "unknown task kind 'segmentatio'; did you mean 'segmentation'?"),
    (["cost", "--tasks", "depth:x"], "task 'depth:x' has no channels"),
    (["cost", "--tasks", "depth,depth"], "task 'depth' is named twice"),
    (["cost", "--image-size", "big"], "image size is 'big' (allowed: pixels from 16"),
    (["cost", "--backbone", "resnet19"], "unknown backbone 'resnet19'; did you mean 'resnet18'?"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[-60:] for a, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("")
    assert message in refused(capsys, *arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"a-file"}  # nothing written, nothing lost


def test_the_table_fits_eighty_columns_and_names_its_units(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    given = ["--methods", "single-task,hard-sharing", "--tasks", "depth", "--image-size", "32", "--width", "0.125"]
    code, out, _ = run(capsys, "cost", *given)
    assert code == 0
    lines = out.splitlines()
    assert max(map(len, lines[:6])) <= 80
    words = " ".join(lines[:3]).split()
    assert [words.count(unit) for unit in ("M", "GMAC", "ms", "MiB")] == [3, 3, 1, 1]


def test_cost_as_json_against_a_count_by_hand(capsys):
    code, out, _ = run(
        capsys, "cost", "--methods", "single-task,hard-sharing", "--tasks", "segmentation:7,depth", "--json",
        "--image-size", "32", "--head", "4",
    )  # fmt: skip
    assert code == 0
    single, shared = json.loads(out)
    assert (single["method"], shared["method"]) == ("single-task", "hard-sharing")
    assert shared["parameters"]["ratio"] == 1
    assert single["parameters"]["ratio"] == 2
    assert round(shared["parameters"]["backbone"] / 1e6, 2) == 11.18
    branch = 512 * 4 * 9 + 4 + 4 * 4 + 4  # conv3x3 and conv1x1 with biases
    heads = sum(4 * (branch + 4 * channels + channels) for channels in (7, 1))
    assert shared["parameters"]["heads"] == heads
    assert single["macs"]["own_pass"] == shared["macs"]["own_pass"]


def test_cost_as_a_table_with_a_method_of_ones_own(capsys):
    code, out, _ = run(
        capsys, "cost", "--methods", f"hard-sharing,{BRANCHES}", "--image-size", "32x48", "--head", "4",
        "--width", "0.125", "--set", "branches.private=4", "--tasks", "edges,depth",
    )  # fmt: skip
    assert code == 0
    header, _, _, _, first, second = out.splitlines()[:6]
    assert header.split()[0] == "method"
    assert first.split()[:3] == ["hard-sharing", "0.18", "1.000"]
    ratio = float(second.split()[2])
    assert 1.9 < ratio < 2  # all but the stem is private
