"""An exported network gives the same predictions, for any batch, one file alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

from mtlbench.deployed.export import NAMES, export_onnx, export_torch
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.tasks import Task
from tests.helpers.networks import TASKS, tiny_method

METHODS = {"hard-sharing": {}, "adashare": {"policy": "10110010,11010010"}}
DOMAINS = (Task("photo", "classification", 4), Task("sketch", "classification", 4))


def deployed(name: str, tasks: Sequence[Task] = TASKS[:2], streams: Sequence[str] = ("all",)) -> DeployedNetwork:
    options = METHODS[name] if tasks is not DOMAINS else {}
    method = tiny_method(name, tasks, options, streams=streams)
    served = {s: [t.name for t in tasks] for s in streams} if len(streams) == 1 else {t.name: [t.name] for t in tasks}
    for step in range(2):  # batch-norm statistics that differ from the initial ones, and between streams
        for stream, names in served.items():
            method.build.stream = stream
            method(inputs(4, seed=step + len(stream)), names)
    return DeployedNetwork.of(method.eval(), served, (3, 32, 32))


def inputs(batch: int, seed: int = 0) -> Tensor:
    return torch.randn(batch, 3, 32, 32, generator=torch.Generator().manual_seed(seed))


def expected(network: DeployedNetwork, xs: Sequence[Tensor]) -> list[Tensor]:
    found = []
    for (stream, tasks), x in zip(network.streams.items(), xs, strict=True):
        network.build.stream = stream
        outputs = network.network(x, tuple(tasks))
        found += [outputs[t] for t in tasks]
    return found


@pytest.mark.parametrize("name", METHODS)
def test_torch_export(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    network, path = deployed(name), tmp_path / "network.pt2"
    export_torch(network, path)
    assert capfd.readouterr() == ("", "")
    extra = {NAMES: ""}
    loaded = torch.export.load(path, extra_files=extra).module()
    for batch in (1, 2, 3):
        x = inputs(batch, seed=9)
        for ours, theirs in zip(loaded(x), expected(network, [x]), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    assert json.loads(extra[NAMES]) == {"inputs": ["input"], "outputs": ["segmentation", "normals"]}


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_onnx(name: str, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    network, path = deployed(name), tmp_path / "network.onnx"
    export_onnx(network, path)
    assert [p.name for p in tmp_path.iterdir()] == ["network.onnx"]
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [o.name for o in session.get_outputs()] == ["segmentation", "normals"]
    for batch in (1, 3):
        x = inputs(batch, seed=9)
        for ours, theirs in zip(session.run(None, {"input": x.numpy()}), expected(network, [x]), strict=True):
            torch.testing.assert_close(torch.from_numpy(ours), theirs, atol=1e-5, rtol=1e-4)


def test_every_stream_is_an_input_with_its_own_statistics(tmp_path: Path) -> None:
    network, path = deployed("adashare", DOMAINS, ("photo", "sketch")), tmp_path / "network.pt2"
    export_torch(network, path)
    loaded = torch.export.load(path).module()
    xs = [inputs(2, seed=9), inputs(2, seed=9)]
    ours, theirs = loaded(*xs), expected(network, xs)
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(ours[0], ours[1])
