"""`mtlbench compare`."""

import json

import pytest

from tests.helpers.command import TINY, refused, run

WRONG = [
    (["compare", "nowhere", "."], "'nowhere' holds no results"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[-60:] for a, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("")
    assert message in refused(capsys, *arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"a-file"}  # nothing written, nothing lost


def test_compare_of_a_folder_with_itself_finds_nothing_worse(capsys):
    assert run(capsys, "run", "--methods", "hard-sharing", *TINY)[0] == 0
    code, out, _ = run(capsys, "compare", "results", "results")
    assert code == 0
    assert out.startswith("from results to results")


def test_a_comparison_as_json_holds_its_verdict(capsys):
    assert run(capsys, "run", "--methods", "hard-sharing", *TINY, "--seeds", "0,1", "--no-latency")[0] == 0
    code, out, _ = run(capsys, "compare", "results", "results", "--json")
    found = json.loads(out)
    assert (code, found["regressed"], found["lost"]) == (0, False, [])
    changes = [c for changes in found["changes"].values() for c in changes]
    assert changes
    for c in changes:
        assert c["before"] == c["after"]
        assert (c["test"]["difference"]["mean"], c["test"]["difference"]["n"], c["worse"]) == (0, 2, False)
