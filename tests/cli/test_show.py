"""`mtlbench show` and `list --json`: options as the models have them."""

import json
from importlib.metadata import entry_points
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from mtlbench.cli.options import options
from mtlbench.plugins import WORDS
from tests.helpers.command import BRANCHES, DISCS, refused, run


class Inner(BaseModel):
    part: int = 1


class Toy(BaseModel):
    needed: int
    share: float = Field(0.5, gt=0, le=1, description="A share.")
    kind: Literal["a", "b"] | None = None
    pair: tuple[int, int] | Literal["auto"] = "auto"
    mixed: tuple[int, str] = (1, "x")
    many: tuple[Annotated[float, Field(ge=0, lt=2)], ...] = ()
    flag: bool = True
    table: dict[str, float] = Field(default_factory=dict)
    inner: Inner = Inner()
    anything: object = None


def test_what_is_allowed_and_what_holds_by_default_in_words():
    found = options(Toy, {"quick": {}, "paper": {"share": 0.25, "many": (1.0, 0.5)}})
    assert [(o.name, o.allowed, o.default, o.meaning) for o in found] == [
        ("needed", "whole number", "needed", ""),
        ("share", "number above 0, to 1", "0.5 (quick), 0.25 (paper)", "A share."),
        ("kind", "a | b or null", "null", ""),
        ("pair", "list of 2 x whole number or auto", "auto", ""),
        ("mixed", "list of whole number, text", "[1, x]", ""),
        ("many", "list of number from 0, below 2", "[] (quick), [1.0, 0.5] (paper)", ""),
        ("flag", "true | false", "true", ""),
        ("table", "mapping", "{}", ""),
        ("inner", "mapping", '{"part": 1}', ""),
        ("anything", "anything", "null", ""),
    ]
    assert [o.default for o in options(Toy, {})][:2] == ["needed", "0.5"]


def shown(capsys, *arguments):
    code, out, _ = run(capsys, "show", *arguments, "--json")
    assert code == 0
    return json.loads(out)


def test_every_registered_thing_is_shown_with_all_its_options(capsys):
    for group in ("methods", "datasets", "backbones", "kinds"):
        for point in entry_points(group=f"mtlbench.{group}"):
            (one,) = [s for s in shown(capsys, point.name) if s["kind"] == WORDS[group]]
            assert (one["name"], bool(one["about"])) == (point.name, True)
            model = getattr(point.load(), "Options", None)
            assert [o["name"] for o in one.get("options", [])] == list(model.model_fields if model else [])
            assert group != "methods" or all(o["meaning"] for o in one["options"])


def test_a_family_of_backbones_is_shown_and_each_of_its_networks(capsys):
    timm = pytest.importorskip("timm")
    (family,) = shown(capsys, "timm")
    assert (family["kind"], "vision transformers" in family["about"]) == ("family of backbones", True)
    (network,) = shown(capsys, "timm:convnext_atto")
    model = timm.create_model("convnext_atto", num_classes=0)
    count = sum(p.numel() for n, p in model.named_parameters() if not n.startswith(("norm.", "head.")))
    assert f"2 + 2 + 6 + 2 blocks of 40, 80, 160, 320 channels, stride 32, {count / 1e6:.2f} M" in network["about"]
    assert "cannot be taken apart" in refused(capsys, "show", "timm:efficientnet_b0")


def test_a_methods_defaults_follow_the_preset_of_the_data_set_named(capsys):
    from adashare.method import AdaShare

    tasks = ["segmentation", "normals"]
    (one,) = shown(capsys, "adashare", "--dataset", "nyuv2", "--tasks", ",".join(tasks))
    paper = AdaShare.defaults("paper", "nyuv2", tasks)
    assert paper
    for option in one["options"]:
        own = AdaShare.Options.model_fields[option["name"]].default
        expected = {"quick": own, "standard": own, "paper": paper.get(option["name"], own)}
        assert option["defaults"] == json.loads(json.dumps(expected))


def test_a_data_sets_and_the_trainings_defaults_are_the_presets(capsys):
    (scenes,) = shown(capsys, "scenes")
    values = {o["name"]: o["defaults"] for o in scenes["options"]}
    from mtlbench.data.scenes import Scenes

    for preset, settings in Scenes.presets.items():
        for name, value in settings.get("data", {}).items():
            assert values[name][preset] == value
    (training,) = shown(capsys, "run", "--dataset", DISCS)
    steps = next(o for o in training["options"] if o["name"] == "steps")
    assert (steps["defaults"], steps["default"]) == ({"quick": 60}, "60")
    assert "method" not in [o["name"] for o in training["options"]]  # not settable by --set run.


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (BRANCHES, ["(method)", "my_method.py:", "private", "whole number"]),
        (DISCS, ["(data set)", "my_dataset.py:", "noise"]),
        ("depth", ["(kind of task)", "metric: abs_error (the unit of the label), lower is better, primary"]),
        ("resnet18", ["(backbone)", "resnet.py:"]),
        ("single-task", ["(method)", "no options"]),
    ],
)
def test_the_text_names_kind_source_and_options(capsys, name, words):
    code, out, _ = run(capsys, "show", name)
    assert code == 0
    assert [w for w in words if w not in out] == []


WRONG = [
    (["show", "adashar"], "unknown name 'adashar'; did you mean 'adashare'? (allowed: "),
    (["show", "nowhere.py:Mine"], "no file 'nowhere.py'"),
    (["show", "adashare", "--dataset", "scene"], "unknown data set 'scene'; did you mean 'scenes'?"),
    (["show"], "Missing argument 'NAME'"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, arguments, message):
    assert message in refused(capsys, *arguments)


def test_the_list_as_json_holds_what_is_registered(capsys):
    code, out, _ = run(capsys, "list", "--json")
    found = json.loads(out)
    assert code == 0
    for group in ("methods", "datasets", "backbones", "kinds"):
        points = [p.name for p in entry_points(group=f"mtlbench.{group}")]
        families = [f"{p.name}:NAME" for p in entry_points(group="mtlbench.backbone_families")]
        assert sorted(row["name"] for row in found[group]) == sorted(points + families * (group == "backbones"))
    presets = {(row["dataset"], row["preset"]): row["settings"] for row in found["presets"]}
    assert presets["scenes", "quick"]["batch_size"] == 16
    assert json.loads(run(capsys, "list", "kinds", "--json")[1]) == {"kinds": found["kinds"]}
