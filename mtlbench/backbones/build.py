"""Makers of backbones, heads and methods' own modules: pure functions of (seed, name), so shared parts start equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from mtlbench.backbones.base import Architecture, Backbone, Norm, StreamNorm, StreamSwitch, initialise
from mtlbench.backbones.heads import Head, make_head
from mtlbench.errors import CheckpointError
from mtlbench.seeding import seeded
from mtlbench.tasks import Task

M = TypeVar("M", bound=nn.Module)
Maker = Callable[[Architecture, Norm], Backbone]


class Build:
    """Handed to every method's constructor: makes the parts that all methods share.

    `maker` builds the backbone the study names, `streams` are the inputs of the data set (one for scenes, one a task for
    domains), `weights` fills every backbone with torchvision's tensors where the study asks for pretraining.
    """

    def __init__(
        self,
        architecture: Architecture,
        maker: Maker,
        seed: int,
        streams: Sequence[str] = ("all",),
        weights: Mapping[str, Tensor] | None = None,
        source: str = "",
    ) -> None:
        self.architecture = architecture
        self.seed = seed
        self.switch = StreamSwitch(streams)
        self._maker = maker
        self._weights = weights
        self._source = source
        self._stride: int | None = None  # of the backbone, once one was made

    @property
    def stream(self) -> str:
        """The input stream that is running; the harness sets it before every forward pass."""
        return self.switch.current

    @stream.setter
    def stream(self, name: str) -> None:
        self.switch.current = name

    def norm(self, channels: int) -> nn.Module:
        """Batch normalisation of 2-d features, per domain where tasks have inputs of their own."""
        return self._norm(channels, nn.BatchNorm2d if len(self.architecture.shape) == 3 else nn.BatchNorm1d)

    def _norm(self, channels: int, kind: Callable[[int], nn.Module]) -> nn.Module:
        if len(self.switch.streams) == 1 or self.architecture.batchnorm == "shared":
            return kind(channels)
        return StreamNorm([kind(channels) for _ in self.switch.streams], self.switch)

    def module(self, name: str, make: Callable[[], M]) -> M:
        """A module of the method's own, built and initialised by `make` under the seed of (seed, name)."""
        with seeded("init", self.seed, name):
            return make()

    def backbone(self, name: str = "backbone", width: float | None = None) -> Backbone:
        """A backbone; the same name gives the same initial weights, whatever else a method builds.

        `width` replaces the study's width multiplier (for capacity controls).
        """
        architecture = self.architecture if width is None else replace(self.architecture, width=width)

        def make() -> Backbone:
            backbone = self._maker(architecture, self.norm)
            if not backbone.initialised:
                initialise(backbone, architecture.init)
            return backbone

        backbone = self.module(name, make)
        self._stride = backbone.stride
        if self._weights is not None:
            backbone.read(self._weights, self._source)
        return backbone

    def head(self, task: Task, inputs: int) -> Head:
        """The head of a task on features with `inputs` channels; the same for every method with the same features."""
        stride = self.backbone().stride if self._stride is None else self._stride

        def make() -> Head:
            head = make_head(task, inputs, self.architecture, stride)
            if self.architecture.init != "normal":  # N(0, .01) is for layers that a batch norm follows: a head has none
                initialise(head, self.architecture.init)
            return head

        return self.module(f"head.{task.name}", make)


def pretrained_weights(backbone: str, file: str | None) -> tuple[dict[str, Tensor], str]:
    """torchvision's ImageNet tensors for a backbone, and where they came from: from `file`, or from the network for None.

    Raises CheckpointError where the file is missing, is no state dict, or torchvision knows no such network.
    """
    if file is None:
        from mtlbench.backbones.vision import torchvision

        if ":" in backbone:
            raise CheckpointError(f"'{backbone}' takes its weights from a file (allowed: --pretrained FILE)")
        try:
            weights = torchvision.models.get_model_weights(backbone).DEFAULT
        except ValueError as error:
            raise CheckpointError(f"torchvision has no pretrained '{backbone}': {error}") from error
        return dict(weights.get_state_dict(progress=False, check_hash=True)), f"torchvision {weights}"
    if not Path(file).is_file():
        raise CheckpointError(f"no weights file '{file}' (a torchvision state dict, .pth or .safetensors, is expected)")
    try:
        if file.endswith(".safetensors"):
            from safetensors.torch import load_file

            state = load_file(file)
        else:
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # the file may be anything at all
        raise CheckpointError(f"cannot read weights file '{file}': {error}") from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise CheckpointError(f"weights file '{file}' is no state dict of tensors")
    return state, file
