"""Check that a method assumes no device: it runs where its tensors pretend to lie on another one than the CPU.

Every parameter, buffer and input is an `Elsewhere`: it says that its device is `ELSEWHERE`, computes on the CPU, and
refuses to be mixed with a tensor that lies on the CPU, as an accelerator's tensor would. No accelerator is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

from mtlbench.checks.outputs import images
from mtlbench.checks.subject import Subject
from mtlbench.checks.tiny import Tiny
from mtlbench.method import Method, Phase, Where
from mtlbench.training.plan import make_plan

ELSEWHERE = torch.device("meta")  # the one other device whose tensors every build of torch can name
_aten = torch.ops.aten
_MIXING = {_aten.copy_, _aten._to_copy, _aten.index, _aten.index_put, _aten.index_put_}
"""What takes tensors of two devices: copies, and CPU indices into an accelerator's tensor."""


class Elsewhere(Tensor):
    """A CPU tensor that pretends to lie elsewhere."""

    twin: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Elsewhere:
        made: Elsewhere = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=ELSEWHERE,
        )
        made.twin = inner
        return made

    def tolist(self) -> Any:
        return self.twin.tolist()

    def numpy(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert an accelerator's tensor to numpy: copy it to the CPU first (.cpu())")

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """One operator on tensors here and elsewhere."""
    flat = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, Tensor)]
    there = any(isinstance(x, Elsewhere) for x in flat)
    wanted = kwargs.get("device")
    if wanted is not None:
        kwargs = {**kwargs, "device": torch.device("cpu")}
    result_there = there if wanted is None else torch.device(wanted) == ELSEWHERE
    name = str(func.overloadpacket).removeprefix("aten.")
    if any(x.device == ELSEWHERE and not isinstance(x, Elsewhere) for x in flat):
        raise RuntimeError(f"{name} met a tensor that was made below Python, where this check cannot follow it")
    if there and func.overloadpacket not in _MIXING and any(not isinstance(x, Elsewhere) and x.dim() for x in flat):
        shapes = ", ".join(str(tuple(x.shape)) for x in flat if not isinstance(x, Elsewhere) and x.dim())
        raise RuntimeError(f"{name} mixes the network's tensors with one on the CPU, of shape {shapes}")
    if (there or result_there) and kwargs.get("generator") is not None:
        raise RuntimeError(f"{name} draws on the network's device with a generator of the CPU")
    wrappers = {id(x.twin): x for x in flat if isinstance(x, Elsewhere)}
    args, kwargs = tree_map(lambda x: x.twin if isinstance(x, Elsewhere) else x, (args, kwargs))
    found = func(*args, **kwargs)

    def back(x: Any) -> Any:
        if not isinstance(x, Tensor) or isinstance(x, Elsewhere):
            return x
        return wrappers.get(id(x)) if id(x) in wrappers else Elsewhere(x) if result_there else x

    return tree_map(back, found)


class _Operators(TorchDispatchMode):
    """Also what no tensor elsewhere takes part in: tensors made there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class _Functions(TorchFunctionMode):
    """Below Python `torch.tensor(..., device=elsewhere)` and its like would make empty tensors."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            return func(*args, **{**kwargs, "device": None}).to(kwargs["device"])
        if func is Tensor.new_tensor and isinstance(args[0], Elsewhere):
            return torch.tensor(*args[1:], **{"dtype": args[0].dtype, **kwargs, "device": None}).to(ELSEWHERE)
        if func in (Tensor.__getitem__, Tensor.__setitem__) and isinstance(args[0], Elsewhere):
            return func(args[0], indices(args[1]), *args[2:])
        return func(*args, **kwargs)


def indices(index: Any) -> Any:
    """An index whose lists are tensors."""
    if isinstance(index, tuple):
        return tuple(indices(i) for i in index)
    return torch.tensor(index) if isinstance(index, list | range) else index


def devices(subject: Subject) -> Iterator[str]:
    """It assumes no device: tensors of its own lie where its parameters lie."""
    method = subject.build()
    phases = subject.phases(method, Tiny(), 40)
    with torch.no_grad():
        move(method)
        with _Functions(), _Operators():  # type: ignore[no-untyped-call]
            faults = [*pretend(method, phases)]
    yield from faults


def pretend(method: Method, phases: tuple[Phase, ...]) -> Iterator[str]:
    """Every kind of turn's forward pass and loss, and evaluation, elsewhere."""
    names = tuple(t.name for t in method.tasks)
    x = Elsewhere(images(2, torch.float32))
    kinds = {(s.phase.name, s.turn_index): s for s in make_plan(phases)}
    for segment in kinds.values():
        method.train()
        method.where = Where(segment.start, segment.phase.name, segment.round, segment.turn_index)
        if segment.turn_index == 0:
            method.start(segment.phase, {p.name: 0.5 for p in phases if p.scored})
        shares = {n: o.flatten(1).mean(1) for n, o in method(x, names).items()}
        yield from strays({**shares, "the loss": method.loss(shares)}, f"in phase '{segment.phase.name}'")
    method.eval()
    yield from strays(method(x, names), "in eval mode")
    yield from strays(method.deployed().eval()(x, names), "from deployed()")
    method.log()
    method.artefacts()


def strays(outputs: dict[str, Tensor], position: str) -> Iterator[str]:
    """Outputs that lie on the CPU."""
    for name, value in outputs.items():
        if value.device != ELSEWHERE:
            yield f"'{name}' lies on the {value.device} {position}, the network does not"


def move(module: nn.Module) -> None:
    """What `module.to(device)` does: every parameter and buffer lies elsewhere after."""
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None:
                part._parameters[name] = nn.Parameter(Elsewhere(parameter.data), requires_grad=False)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = Elsewhere(buffer)
