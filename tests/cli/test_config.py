"""A study as a file: printed in full it runs again to the same runs, and the schema knows what is right."""

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from mtlbench.given import parse_yaml, write_yaml
from mtlbench.study.settings import RUN_KEYS, gather
from mtlbench.study.study import resolve, runs
from tests.helpers.command import BRANCHES, DATA, DISCS, ROOT, refused, run

EXAMPLE = ROOT / "docs/examples/study.yaml"
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
SCALARS = st.none() | st.booleans() | st.integers(-(10**17), 10**17) | TEXT | st.floats(allow_nan=False)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(TEXT, v, max_size=3), max_leaves=8)
TRICKY = [
    "no",
    "1:30",
    "1e-3",
    "1e3",
    "010",
    "",
    "~",
    "null",
    "true",
    "<<",
    "-1",
    ".5",
    ".inf",
    "2020-01-01",
    "a: b",
    "#x",
    "1_0",
]


@settings(max_examples=150, deadline=None)
@drawn(VALUES | st.sampled_from(TRICKY))
def test_what_is_written_is_read_back(value):
    text = write_yaml({"value": value})
    assert parse_yaml(text, "it") == {"value": value}


STUDIES = {
    "flags": ["--methods", f"hard-sharing,adashare,{BRANCHES}", *DATA, "--seeds", "0,2", "--set", "run.lr=0.5"],
    "options": [
        "--methods",
        "adashare,random-policy",
        *DATA,
        "--set",
        "adashare.turns=[40,10]",
        "--set",
        "discs.images=24",
    ],
    "training": [
        "--methods",
        "hard-sharing",
        *DATA,
        "--set",
        "run.betas=[0.8,0.99]",
        "--weights",
        "disc=1,distance=0.5",
    ],
    "tasks": [
        "--methods",
        "single-task",
        *DATA,
        "--tasks",
        "distance",
        "--width",
        "0.25",
        "--tune",
        "3",
        "--device",
        "cpu",
    ],
    "sweep": ["--methods", "hard-sharing", "--dataset", "related", "--sweep", "related.relatedness=0,.5,1"],
    "weights": ["--methods", "hard-sharing", "--dataset", "related", "--weights", "task2=3", "--sweep", "weights"],
    "compute": ["--methods", "nddr,mtan", *DATA, "--budget", "compute", "--steps", "17", "--precision", "bf16"],
}


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_printed_runs_again_to_the_same_runs(capsys, tmp_path, name):
    arguments = STUDIES[name]
    code, text, _ = run(capsys, "run", *arguments, "--print-config")
    assert code == 0
    Path("study.yaml").write_text(text)
    jsonschema.validate(parse_yaml(text, "it"), schema(capsys))
    flags = {"set": []}
    for flag, value in zip(arguments[::2], arguments[1::2], strict=True):
        key = flag[2:].replace("-", "_")
        flags["set"].append(value) if key == "set" else flags.update({key: value})
    first, again = resolve(gather(flags)), resolve(gather({}, "study.yaml"))
    folders = [[r.config.folder() for r in runs(study)] for study in (first, again)]
    assert folders[0] == folders[1]
    assert [r.config for r in runs(first)] == [r.config for r in runs(again)]
    assert first.settings.model_dump(exclude={"set", "run", "methods", "tasks"}) == again.settings.model_dump(
        exclude={"set", "run", "methods", "tasks"}
    )
    assert run(capsys, "config", "study.yaml")[:2] == (0, text)  # and printed again it is the same file


def schema(capsys):
    code, text, _ = run(capsys, "config", "--schema")
    assert code == 0
    found = json.loads(text)
    jsonschema.Draft202012Validator.check_schema(found)
    return found


def test_the_example_is_right_by_the_schema_and_by_the_program(capsys, monkeypatch):
    text = EXAMPLE.read_text()
    jsonschema.validate(parse_yaml(text, "it"), schema(capsys))
    read = gather({}, str(EXAMPLE))
    assert (read.seeds, read.run["lr"], read.set["adashare"]) == (
        (0, 1, 2), 1e-3, {"lambda_sparsity": 0.01, "select": "sample"},
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["stepz: 3", "lr: 0", "steps: many", "weighting: none", "preset: quik", "set: {adashare: {selekt: sample}}",
     "set: {scenes: {images: 1}}", "set: {run: {lr: -1}}", "tune: 100000", "weights: {depth: -1}"],
)  # fmt: skip
def test_what_the_program_refuses_the_schema_refuses(capsys, text):
    Path("study.yaml").write_text(text)
    refused(capsys, "run", "--methods", "adashare", "--config", "study.yaml", "--dry-run")
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parse_yaml(text, "it"), schema(capsys))


def test_the_schema_has_every_key(capsys):
    properties = schema(capsys)["properties"]
    assert set(RUN_KEYS) <= set(properties)
    assert {"methods", "dataset", "data_dir", "tasks", "seeds", "out", "workers", "set"} <= set(properties)
    assert "run" not in properties


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config"], "config needs one of FILE and --schema"),
        (["config", "a.yaml", "--schema"], "config needs one of FILE and --schema"),
        (["config", "a.yaml"], "cannot read the configuration 'a.yaml'"),
        (["run", "--methods", "hard-sharing", "--dataset", DISCS, "--steps", "0", "--print-config"], "'steps' is"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, arguments, message):
    assert message in refused(capsys, *arguments)


def test_the_page_shows_the_example_as_it_is():
    page = (ROOT / "docs/configuration.md").read_text()
    lines = [line for line in EXAMPLE.read_text().splitlines(keepends=True) if not line.startswith("#")]
    assert "".join(lines) in page
