"""`mtlbench export`."""

import pytest

from mtlbench.deployed.network import DeployedNetwork
from tests.helpers.command import refused
from tests.helpers.networks import TASKS, tiny_method

WRONG = [
    (["export", "nowhere"], "'nowhere' is not a run"),
    (["export", ".", "--format", "onxn"], "unknown format 'onxn'; did you mean 'onnx'?"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=[" ".join(a)[-60:] for a, _ in WRONG])
def test_what_is_wrong_is_said_in_one_line_with_exit_code_2(capsys, tmp_path, arguments, message):
    (tmp_path / "a-file").write_text("")
    assert message in refused(capsys, *arguments)
    assert {p.name for p in tmp_path.iterdir()} == {"a-file"}  # nothing written, nothing lost


def network():
    """A small network with untrained weights, of more than 64 KiB."""
    tasks = TASKS[:2]
    method = tiny_method("hard-sharing", tasks, {}).eval()
    return DeployedNetwork.of(method, {"all": [t.name for t in tasks]}, (3, 32, 32))


@pytest.mark.parametrize("format_", ["torch", "onnx"])
def test_on_a_full_disk_an_export_is_one_line_and_leaves_what_was_there(
    capsys, tmp_path, monkeypatch, small_disk, format_
):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.jsonl").write_text("")
    (tmp_path / "network").write_text("older")
    small_disk(2**16)
    monkeypatch.setattr("mtlbench.deployed.network.load_network", lambda *_: network())
    if format_ == "onnx":
        pytest.importorskip("onnxscript")
    error = refused(capsys, "export", "run", "--format", format_, "--out", "network")
    assert error == "mtlbench: cannot write 'network': File too large\n"
    assert (tmp_path / "network").read_text() == "older"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["network", "run"]


@pytest.mark.parametrize("out", ["/dev/full", "/dev/null"])
@pytest.mark.parametrize("command", [["export", "run"], ["predict", "run", "run/record.jsonl"]])
def test_a_device_is_not_a_file_to_write(capsys, tmp_path, command, out):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "record.jsonl").write_text("")
    assert refused(capsys, *command, "--out", out).endswith(
        f"cannot write '{out}': it is a device (a file's name is expected)\n"
    )
