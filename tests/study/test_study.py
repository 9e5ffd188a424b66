"""Settings: who wins over whom, and what is refused. Studies: which runs they become. Tuning: one space for all."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

from mtlbench import config
from mtlbench.errors import ConfigError, MtlbenchError, PluginError, UnknownName
from mtlbench.runs import runner
from mtlbench.study import entries, study
from mtlbench.study.settings import gather

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"
DISCS = f"{EXAMPLES / 'my_dataset.py'}:Discs"
BRANCHES = f"{EXAMPLES / 'my_method.py'}:Branches"
BOTH = "single-task,hard-sharing"


def make(**flags):
    """A study on the example data set."""
    given = {"methods": BOTH, "dataset": DISCS, "device": "cpu", "set": ["discs.images=24"]}
    return study.resolve(gather(given | flags))


# --- settings


def test_flags_win_over_the_file_which_wins_over_the_preset_which_wins_over_the_defaults(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("methods: hard-sharing\nsteps: 11\nbatch-size: 6\nset: {run: {warmup: 0.2}}\n")
    flags = {"steps": "7", "dataset": DISCS, "set": ["run.lr=0.5"], "device": "cpu"}
    (request,) = study.runs(study.resolve(gather(flags, str(file))))
    c = request.config
    assert c.steps == 7  # the flag's, not the file's 11, not the preset's 60
    assert c.batch_size == 6  # the file's, not the preset's 8
    assert c.width == 0.125  # the preset's, not RunConfig's 1
    assert c.weight_decay == 1e-4  # RunConfig's
    assert (c.lr, c.warmup) == (0.5, 0.2)  # one --set of the flags, one of the file: both hold


def test_set_of_flags_and_file_merge_option_by_option(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("set:\n  branches: {private: 2, head_lr: 3}\n")
    settings = gather({"set": ["branches.private=3"]}, str(file))
    assert settings.set == {"branches": {"private": 3, "head_lr": 3}}


@pytest.mark.parametrize(
    ("given", "seeds"), [("0", (0,)), ("2,0", (2, 0)), ("0-3", (0, 1, 2, 3)), ("7,1-2", (7, 1, 2)), ([4, 5], (4, 5))]
)
def test_seeds(given, seeds):
    assert gather({"seeds": given}).seeds == seeds


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1), ("0.5", 0.5), ("true", True), ("paper", "paper"), ("[1, 2]", [1, 2]), ("null", None), ("a=b", "a=b")],
)
def test_values_of_set_are_yaml(text, value):
    assert gather({"set": [f"some.option={text}"]}).set == {"some": {"option": value}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("methds: all", "unknown setting in '{file}' 'methds'; did you mean 'methods'?"),
        ("set: {adashare: 3}", "'adashare' is 3"),
        ("set: 3", "'set' in '{file}' is 3"),
        ("- a\n- b", "a mapping like 'methods: all' is expected"),
        ("a: [", "is not valid YAML"),
        ("seeds: x", "seeds are 'x'"),
        ("seeds: 0-99999999", "allowed: up to 10000"),
        ("preset: quikc", "unknown preset of the study 'quikc'; did you mean 'quick'?"),
        ("seeds: [1, 1]", "a seed is named twice in '1,1'"),
        ("tune: -1", "'tune' is -1"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, content, message):
    file = tmp_path / "study.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError) as caught:
        gather({}, str(file))
    assert message.format(file=file) in str(caught.value)
    assert "\n" not in str(caught.value)


# --- runs


def test_one_run_a_method_and_seed_seeds_outermost():
    requests = study.runs(make(seeds="3,1"))
    pairs = [(r.config.seed, r.config.method) for r in requests]
    assert pairs == [(3, "single-task"), (3, "hard-sharing"), (1, "single-task"), (1, "hard-sharing")]


def test_another_seed_is_all_that_differs():
    made = make(seeds="3,1,10")
    assert study.runs(made) == [study.request(made, e, seed) for seed in (3, 1, 10) for e in made.entries]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"seeds": "0-5000"}, "2 methods x 5,001 seeds are 10,002 runs (allowed: up to 10,000 in a study)"),
        ({"tune": 1000, "tune_seeds": 5}, "2 methods and 10,000 trials are 10,002 runs (allowed: up to"),
        ({"sweep": "run.lr=.1,.2,.3", "seeds": "0-1999"}, "2 methods x 3 points x 2,000 seeds are 12,000 runs"),
    ],
    ids=["seeds", "trials", "points"],
)
def test_more_runs_than_a_report_shows_are_refused(flags, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        make(**flags)


def test_as_many_as_it_shows_are_not():
    assert len(study.runs(make(seeds="0-4999"))) == study.MOST_RUNS


def test_options_are_stored_in_full_and_decide_the_identity():
    plain, other = (
        study.runs(make(methods=BRANCHES, set=["discs.images=24", *extra]))[0].config
        for extra in ((), ("branches.private=2",))
    )
    assert plain.options == {"private": 1, "head_lr": 1.0}
    assert other.options == {"private": 2, "head_lr": 1.0}
    assert plain.data == {"images": 24, "noise": 0.1, "val_fraction": 0.1}
    assert plain.identity() != other.identity()


def test_saying_a_default_aloud_is_the_same_run():
    silent, aloud = (
        study.runs(make(methods=BRANCHES, set=["discs.images=24", *extra], **flags))[0].config
        for extra, flags in (
            ((), {}),
            (("branches.private=1", "run.lr=0.003"), {"steps": "60", "tasks": "disc,distance"}),
        )
    )
    assert silent.identity() == aloud.identity()


def test_all_and_a_file_stand_side_by_side(tmp_path):
    specs = entries.expand(["all", BRANCHES, "adashare"])
    assert specs[-1] == BRANCHES
    assert len(set(specs)) == len(specs)
    assert {"single-task", "hard-sharing", "adashare"} <= set(specs)


def _file(folder: Path, text: str) -> str:
    path = folder / "mine.py"
    path.write_text(text)
    return str(path)


METHOD = "from mtlbench.method import Method\nclass Mine(Method):\n    name = {name!r}\n"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adashare", "the name 'adashare', which is taken by 'adashare'"),
        ("run", "the name 'run', which is taken"),
        ("a/b", "the name 'a/b' (allowed"),
        ("", "the name '' (allowed"),
        (None, "is not a method (a subclass of mtlbench.method.Method with a `name` is expected)"),
    ],
)
def test_a_plugin_needs_a_name_of_its_own(tmp_path, name, message):
    spec = _file(tmp_path, METHOD.format(name=name)) + ":Mine"
    with pytest.raises(PluginError) as caught:
        entries.entries(gather({"methods": f"hard-sharing,{spec}"}))
    assert message in str(caught.value)


def test_what_is_no_method_is_refused(tmp_path):
    spec = _file(tmp_path, "class Mine:\n    name = 'mine'\n") + ":Mine"
    with pytest.raises(PluginError, match="is not a method"):
        entries.entry(spec)


def test_a_file_that_raises_becomes_a_run_and_a_missing_one_an_error(tmp_path):
    spec = _file(tmp_path, "import nothing_of_that_name\nclass Mine: pass\n") + ":Mine"
    assert entries.entry(spec) == entries.Entry(spec, "Mine", None)
    for missing in (f"{tmp_path}/none.py:Mine", "nothing_of_that_name:Mine"):
        with pytest.raises(PluginError):
            entries.entry(missing)
    with pytest.raises(UnknownName, match="did you mean 'adashare'"):
        entries.entry("adashar")


def test_options_of_absent_methods_are_allowed_and_of_unknown_ones_not():
    make(set=["discs.images=24", "adashare.warmup=0.5"])  # one file serves studies with and without it
    with pytest.raises(UnknownName, match="did you mean 'hard-sharing'"):
        make(set=["hard-sharin.x=1"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"set": ["run.lrr=1"]}, "unknown option of run 'lrr'"),
        ({"set": ["run.seed=1"]}, "unknown option of run 'seed'"),
        ({"set": ["run.lr=fast"]}, "'lr' is 'fast'"),
        ({"set": ["discs.image=9"]}, "unknown option of data set discs 'image'; did you mean 'images'?"),
        ({"set": ["hard-sharing.x=9"]}, "unknown option of method hard-sharing 'x' (allowed: none)"),
        ({"preset": "paper"}, "unknown preset of data set discs 'paper' (allowed: quick)"),
        ({"tasks": "disk"}, "unknown task 'disk'; did you mean 'disc'?"),
        ({"tasks": "disc,disc"}, "a task is named twice"),
        ({"backbone": "resnet19"}, "unknown backbone 'resnet19'; did you mean 'resnet18'?"),
        ({"pretrained": "none.pth"}, "no weights file 'none.pth'"),
        ({"steps": "many"}, "'steps' is 'many'"),
        ({"weighting": "dva"}, "unknown weighting 'dva'; did you mean 'dwa'?"),
    ],
)
def test_wrong_settings_are_refused_before_anything_runs(flags, message):
    flags["set"] = ["discs.images=24", *flags.get("set", ())]
    with pytest.raises(MtlbenchError) as caught:
        study.runs(make(**flags))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_pretrained_is_named_by_its_content_not_its_path(tmp_path):
    configs = []
    for name in ("a.safetensors", "b.safetensors"):
        safetensors.torch.save_file({"the same": torch.zeros(1)}, tmp_path / name)
        (request,) = study.runs(make(methods="hard-sharing", pretrained=str(tmp_path / name)))
        assert request.weights == str(tmp_path / name)
        configs.append(request.config)
    assert configs[0] == configs[1]
    assert study.runs(make(methods="hard-sharing", pretrained="imagenet"))[0].config.pretrained == "imagenet"


def test_requests_can_be_sent_to_a_worker():
    import pickle

    (request,) = study.runs(make(methods=BRANCHES))
    assert pickle.loads(pickle.dumps(request)) == request
    assert isinstance(request, runner.Request)
    assert replace(request, threads=3).config == request.config


# --- the tasks' weights


def test_weights_reach_the_run_and_its_identity_and_none_leave_it_as_it_was():
    plain, weighted = (study.runs(make(**flags))[0].config for flags in ({}, {"weights": "disc=1,distance=.5"}))
    assert weighted.weights == {"disc": 1.0, "distance": 0.5} and plain.weights == {}
    assert weighted.identity() != plain.identity()
    said = plain.model_dump(mode="json")
    for later in config.LATER:  # what a run of before there were any was named by
        del said[later]
    assert plain.identity() == hashlib.sha256(json.dumps([said], sort_keys=True).encode()).hexdigest()[:10]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"weights": "disk=1"}, "unknown task in --weights 'disk'; did you mean 'disc'?"),
        ({"weights": "disc"}, "weights are 'disc' (allowed: each task once with a number from 0, like a=1,b=.5)"),
        ({"weights": "disc=1,disc=2"}, "each task once"),
        ({"weights": "disc=-1"}, "'weights.disc' is '-1'"),
        ({"weights": "disc=inf"}, "'weights.disc' is 'inf'"),
        ({"weights": "disc=0,distance=0"}, "all 0"),
        ({"weights": "disc=1", "weighting": "dwa"}, "with --weighting dwa, which sets its own (allowed: fixed)"),
        ({"set": ["run.lr=.inf"]}, "'lr' is inf: allowed: above 0, at most 1,000,000"),
        ({"set": ["run.weight_decay=.nan"]}, "'weight_decay' is nan: allowed: from 0, at most 1,000,000"),
        ({"set": ["run.schedule=step:0:0"]}, "schedule 'step:0:0': EVERY (a fraction of the steps below 1"),
        ({"set": ["run.schedule=step:5:nan"]}, "FACTOR (at most 1000) are numbers above 0"),
        ({"set": ["run.head_schedule=cosin"]}, "unknown schedule 'cosin' (allowed: constant, linear, cosine"),
        ({"set": ["run.width=.inf"]}, "'width' is inf: allowed: from 0.001, at most 8"),
        ({"tune_steps": 0}, "'tune_steps' is 0: allowed: from 1, at most 1,000,000,000"),
        ({"tune_seeds": 1}, "'tune_seeds' is 1: allowed: from 2, at most 100"),
        ({"tune": "9" * 30}, "'tune' is"),
    ],
)
def test_wrong_weights_and_bounds_are_refused_in_one_line(flags, message):
    with pytest.raises(MtlbenchError) as caught:
        make(**{**flags, "set": ["discs.images=24", *flags.get("set", ())]})
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "count", "expected"),
    [
        ("auto", 0, "cpu"), ("auto", 2, "cuda"), ("cpu", 2, "cpu"), ("cuda", 1, "cuda"), ("gpu", 1, "cuda"),
        ("GPU:1", 2, "cuda:1"), ("cuda:1", 2, "cuda:1"), ("cuda:1", 1, None), ("cuda", 0, None), ("cuda:-1", 2, None),
        ("cuda:", 2, None), ("cuda:" + "9" * 5000, 2, None), ("mps", 2, None), ("cpu:0", 0, None), ("", 0, None),
    ],
)  # fmt: skip
def test_a_device_is_one_that_is_there(monkeypatch, given, count, expected):
    monkeypatch.setattr("torch.cuda.is_available", lambda: count > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: count)
    if expected is None:
        with pytest.raises(ConfigError, match=r"^device (is )?'.*\(allowed: auto, cpu"):
            study.available(gather({"device": given}).device)
    else:
        assert study.available(gather({"device": given}).device) == expected
