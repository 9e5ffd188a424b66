"""`mtlbench report`."""

import json

import pytest

from mtlbench import records
from tests.helpers.command import TINY, refused, run

WRONG = [
    (["report", "nowhere"], "'nowhere' holds no results: no such folder"),
    (["report", "."], "it has no folder 'records'"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[-60:] for a, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("")
    assert message in refused(capsys, *arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"a-file"}  # nothing written, nothing lost


def test_report_with_a_limit_recommends(capsys):
    assert run(capsys, "run", "--methods", "single-task,hard-sharing", *TINY)[0] == 0
    code, out, _ = run(capsys, "report", "results", "--max-params", "1.5x")
    assert code == 0
    assert "hard-sharing" in out.split("the whole report")[1]
    code, _, err = run(capsys, "report", "results", "--max-params", "lots")
    assert (code, err.count("\n")) == (2, 1)
    assert "lots" in err


def test_an_unreadable_and_a_newer_record_are_named_and_nothing_is_lost(capsys, tmp_path):
    for name, line in (("newer", '{"kind":"start","schema_version":99}'), ("broken", 'not json\n{"kind":"log"}')):
        folder = tmp_path / "results" / "records" / name
        folder.mkdir(parents=True)
        (folder / records.FILE).write_text(line + "\n")
    runs, problems = records.read_all(tmp_path / "results")
    assert runs == []
    assert [p for p in problems if "schema version 99" in p]
    assert [p for p in problems if "line 1 is damaged" in p]


def test_a_report_as_json_holds_what_the_records_say(capsys, tmp_path):
    assert run(capsys, "run", "--methods", "single-task,hard-sharing", *TINY, "--seeds", "0,1", "--no-latency")[0] == 0
    code, out, _ = run(capsys, "report", "results", "--json")
    assert code == 0
    (study,) = json.loads(out)["studies"]
    assert [row["label"] for row in study["rows"]] == ["single-task", "hard-sharing"]
    runs, _ = records.read_all(tmp_path / "results")
    for row in study["rows"]:
        own = {str(r.start.seed): r for r in runs if r.start.method == row["method"]}
        for name, figure in row["metrics"].items():
            task, metric = name.split("/")
            expected = {seed: r.final("test").metrics[task][metric] for seed, r in own.items()}
            assert figure["by seed"] == expected
            assert figure["mean"] == pytest.approx(sum(expected.values()) / 2)
        assert row["mean skill"]["by seed"] == {s: r.final("test").score for s, r in own.items()}
