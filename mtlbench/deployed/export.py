"""A deployed network as one file for others to run: torch.export's (.pt2), or ONNX."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mtlbench.deployed.cost import example
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.errors import ConfigError

NAMES = "names.json"
"""The extra file in a .pt2 that names its inputs and outputs: {"inputs": [...], "outputs": [...]}."""


class Exported(nn.Module):
    """A network with one positional input a stream and a tuple of outputs, one a task, as exporters want it."""

    def __init__(self, deployed: DeployedNetwork) -> None:
        super().__init__()
        self.network = deployed.network  # registered here, so that its weights are exported
        self.deployed = deployed
        self.streams = deployed.streams

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs, in order: "input", or the streams' where tasks have inputs of their own."""
        return ["input"] if len(self.streams) == 1 else [f"input_{stream}" for stream in self.streams]

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs, in order: the tasks'."""
        return [task for tasks in self.streams.values() for task in tasks]

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Inputs (B, *shape) in the streams' order -> every task's output, at the network's own resolution."""
        answers = self.deployed.answers(dict(zip(self.streams, inputs, strict=True)))
        return tuple(answers[task] for task in self.outputs)


def _examples(deployed: DeployedNetwork) -> tuple[Tensor, ...]:
    """Two inputs of each stream: a batch of one would be taken for a constant."""
    return tuple(torch.cat([example(deployed.shape)] * 2) for _ in deployed.streams)


def _any_batch(count: int) -> tuple[tuple[dict[int, Any], ...]]:
    """The batch may have any size, the same for every stream."""
    return (tuple({0: torch.export.Dim.DYNAMIC} for _ in range(count)),)


def export_torch(deployed: DeployedNetwork, path: Path) -> None:
    """Write the network with torch.export; `torch.export.load(path).module()(x)` gives the tasks' outputs in order."""
    network, inputs = Exported(deployed).eval(), _examples(deployed)
    with _quiet():
        program = torch.export.export(network, inputs, dynamic_shapes=_any_batch(len(inputs)), strict=False)
        names = json.dumps({"inputs": network.inputs, "outputs": network.outputs})
        whole = io.BytesIO()  # torch's own writer ends the process where a file cannot be written
        torch.export.save(program, whole, extra_files={NAMES: names})
    path.write_bytes(whole.getbuffer())


def export_onnx(deployed: DeployedNetwork, path: Path) -> None:
    """Write the network as ONNX; its inputs and outputs are named. Raises ConfigError without the `onnx` extra."""
    try:
        import onnxscript  # type: ignore[import-not-found,unused-ignore]  # noqa: F401
    except ImportError as error:
        raise ConfigError("ONNX export needs the 'onnx' extra (pip install 'mtlbench[onnx]')") from error
    network, inputs = Exported(deployed).eval(), _examples(deployed)
    with _quiet():
        torch.onnx.export(
            network,
            inputs,
            str(path),
            dynamo=True,
            external_data=False,
            input_names=network.inputs,
            output_names=network.outputs,
            dynamic_shapes=_any_batch(len(inputs)),
            verbose=False,
        )


WRITERS = {"torch": export_torch, "onnx": export_onnx}
"""What writes a network, by the format's name."""


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Exporters talk much on standard output and in their logs; errors are raised all the same."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
