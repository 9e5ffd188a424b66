"""What a network costs as it would be deployed: parameters, multiply-adds and peak memory.

One MAC is half a FLOP of torch's counter, which counts convolutions and matrix products. Products of single elements
(masks, gates, mixtures channel by channel) count one MAC for each element of their result, so that a mixture costs the
same however it is written. Everything else that ran is named in `uncounted`. What lies in a `Head` counts as heads, all
else as backbone.
"""

from __future__ import annotations

import copy
import math
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build, Head
from mtlbench.backbones.build import Maker
from mtlbench.config import parse
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.method import Method
from mtlbench.records import Cost, Macs, Parameters
from mtlbench.tasks import Task

Inputs = Mapping[str, Tensor]  # input stream -> one input


def parameters(network: nn.Module, plain_backbone: int) -> Parameters:
    """Parameter counts; `plain_backbone` is one backbone's, hard sharing's."""
    in_heads = {id(p) for m in network.modules() if isinstance(m, Head) for p in m.parameters()}
    counts = {True: 0, False: 0}
    for parameter in network.parameters():
        counts[id(parameter) in in_heads] += parameter.numel()
    backbone, heads = counts[False], counts[True]
    return Parameters(backbone=backbone, heads=heads, total=backbone + heads, ratio=backbone / plain_backbone)


def _products(*shapes: Any, out_shape: Any, **more: Any) -> int:
    """FLOPs of an operator that multiplies element by element: one MAC for each element of the result."""
    return 2 * int(math.prod(out_shape))


_ELEMENTWISE = dict.fromkeys((torch.ops.aten.mul, torch.ops.aten.addcmul, torch.ops.aten.lerp), _products)
# The counter would take these apart into products; they stay whole, and uncounted.
_RESIZING: Mapping[Any, Any] = {
    op: lambda *_, **__: 0
    for packet in (torch.ops.aten.upsample_bilinear2d, torch.ops.aten.upsample_linear1d)
    for op in (packet, packet.vec)
}
_FREE = {torch.ops.aten.empty, torch.ops.aten.detach, torch.ops.aten.clone, torch.ops.aten._to_copy}  # no arithmetic


class _Operators(TorchDispatchMode):
    """Names the operators that ran, views aside, and tracks the most memory alive at once."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()
        self.now = self.peak = 0
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view and func.overloadpacket not in _FREE:
            self.names.add(str(func.overloadpacket).removeprefix("aten."))
        for value in result if isinstance(result, tuple | list) else (result,):
            if isinstance(value, Tensor):
                self._hold(value.untyped_storage())
        return result

    def _hold(self, storage: Any) -> None:
        if storage in self._seen:
            return
        self._seen.add(storage)
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._release, size)

    def _release(self, size: int) -> None:
        self.now -= size


def _count(network: DeployedNetwork, inputs: Inputs, tasks: Sequence[str] | None = None) -> tuple[float, float]:
    """MACs of one pass over the given streams for these tasks, all of theirs by default: in the heads, and in all."""
    in_heads = [0]
    before: list[int] = []
    with (
        FlopCounterMode(display=False, custom_mapping={**_ELEMENTWISE, **_RESIZING}) as counter,
        torch.inference_mode(),
    ):

        def enter(module: nn.Module, args: Any) -> None:
            before.append(counter.get_total_flops())

        def leave(module: nn.Module, args: Any, output: Any) -> None:
            in_heads[0] += counter.get_total_flops() - before.pop()

        heads = [m for m in network.network.modules() if isinstance(m, Head)]
        handles = [h for m in heads for h in (m.register_forward_pre_hook(enter), m.register_forward_hook(leave))]
        try:
            network.answers(inputs, tasks)
        finally:
            for handle in handles:
                handle.remove()
        return in_heads[0] / 2, counter.get_total_flops() / 2


def macs(network: DeployedNetwork, inputs: Inputs) -> Macs:
    """MACs for one input a stream: all tasks at once (shared work once), each task alone, each in its own pass."""
    heads, total = _count(network, inputs)
    alone = {t: _count(network, {s: x}, (t,)) for s, x in inputs.items() for t in network.streams[s]}
    return Macs(
        backbone=total - heads,
        heads=heads,
        total=total,
        each={t: all_ for t, (_, all_) in alone.items()},
        own_pass=sum(all_ for _, all_ in alone.values()),
        backbone_own_pass=sum(all_ - in_heads for in_heads, all_ in alone.values()),
    )


def _macs_by_shape(network: DeployedNetwork, inputs: Inputs) -> Macs:
    """`macs` on the meta device, where only shapes are computed; on the real one where a network reads its tensors."""
    try:
        shadow = replace(network, network=copy.deepcopy(network.network).to("meta"))
        return macs(shadow, {s: x.to("meta") for s, x in inputs.items()})
    except (RuntimeError, NotImplementedError):
        return macs(network, inputs)


@torch.no_grad()  # under inference_mode composite operators would not be taken apart
def trace(network: DeployedNetwork, inputs: Inputs) -> tuple[list[str], int]:
    """Operators that ran without being counted, and the peak bytes of one pass: parameters, inputs and features."""
    from torch.utils.flop_counter import flop_registry

    counted = {str(packet).removeprefix("aten.") for packet in {**flop_registry, **_ELEMENTWISE}}
    with _Operators() as operators:
        network.answers(inputs)
    held = [*network.network.parameters(), *network.network.buffers(), *inputs.values()]
    weights = sum(t.numel() * t.element_size() for t in held)
    return sorted(operators.names - counted), weights + operators.peak


def measure(network: DeployedNetwork, plain_backbone: int, device: str = "cpu") -> Cost:
    """The costs of a deployed network on one input a stream; its mode is restored. Latency is measured side by side."""
    inputs = {s: example(network.shape, device) for s in network.streams}
    with network.resting():
        uncounted, peak = trace(network, inputs)
        counted = _macs_by_shape(network, inputs)
        return Cost(
            parameters=parameters(network.network, plain_backbone),
            macs=counted,
            flops=2 * counted.total,
            uncounted=uncounted,
            peak_memory=peak,
        )


def example(shape: Sequence[int], device: str = "cpu") -> Tensor:
    """One input of a shape: an image (1, 3, H, W), characters (1, L), or a vector (1, N, 1)."""
    if len(shape) == 1:
        return torch.zeros(1, *shape, dtype=torch.long, device=device)
    x = torch.zeros(1, *shape, device=device)
    return x.contiguous(memory_format=torch.channels_last) if x.dim() == 4 else x


def plain_backbone_parameters(build: Build) -> int:
    """Parameters of one plain backbone of the study: the denominator of every parameter ratio."""
    return sum(p.numel() for p in build.backbone().parameters())


def untrained(
    method: type[Method],
    options: Any,
    tasks: Sequence[Task],
    architecture: Architecture,
    maker: Maker,
    streams: Mapping[str, Sequence[str]] | None = None,
) -> DeployedNetwork:
    """What an untrained method would deploy, without data: all tasks on one input unless `streams` says otherwise."""
    streams = streams or {"all": [t.name for t in tasks]}
    build = Build(architecture, maker, seed=0, streams=tuple(streams))
    deployed = DeployedNetwork.of(method(options, build, tasks).eval(), streams, architecture.shape)
    compact = copy.deepcopy(deployed.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return replace(deployed, network=compact.eval())


def estimate_cost(
    method: str | type[Method],
    tasks: Sequence[Task],
    backbone: str = "resnet18",
    shape: Sequence[int] = (3, 224, 224),
    width: float = 1.0,
    head: int = 128,
    **options: Any,
) -> Cost:
    """Parameters, multiply-adds and peak memory of what a method would deploy, without training and without data.

    `shape` is one input's, `width` multiplies the backbone's channels, `head` are the hidden channels of dense heads,
    `options` the method's own. All tasks read one input. Raises UnknownName, PluginError or ConfigError.
    """
    found = plugins.load("methods", method) if isinstance(method, str) else method
    kind = plugins.checked(found, Method, "method", str(method))
    architecture = Architecture(backbone=backbone, shape=tuple(shape), width=width, head=head)
    parsed = parse(kind.Options, options, f"method {kind.name}")
    network = untrained(kind, parsed, tasks, architecture, plugins.load("backbones", backbone))
    return measure(network, plain_backbone_parameters(network.build))
