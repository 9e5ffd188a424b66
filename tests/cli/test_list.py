"""`mtlbench list`."""

import tomllib

import pytest

from mtlbench import plugins
from tests.helpers.command import ROOT, refused, run

WRONG = [
    (["list", "method"], "unknown thing to list 'method'; did you mean 'methods'?"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[-60:] for a, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("")
    assert message in refused(capsys, *arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"a-file"}  # nothing written, nothing lost


def test_list_agrees_with_pyproject(capsys):
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    for kind in ("methods", "datasets", "backbones", "kinds"):
        code, out, _ = run(capsys, "list", kind)
        listed = [line.split()[0] for line in out.splitlines()[2:] if line[:1].strip()]
        assert code == 0
        families = [f"{f}:NAME" for f in groups["mtlbench.backbone_families"]] if kind == "backbones" else []
        assert sorted(listed) == sorted([*groups[f"mtlbench.{kind}"], *families])
        assert "cannot be loaded" not in out


def test_everything_registered_loads_and_says_what_it_is():
    for kind in ("methods", "datasets", "backbones", "kinds"):
        for name in plugins.names(kind):
            thing = plugins.load(kind, name)
            assert (thing.__doc__ or "").strip(), f"{name} has no docstring"
            assert kind == "backbones" or thing.name == name
