"""Check of what deployment costs: what is declared is what is there, and what runs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator

from torch import Tensor, nn

from mtlbench.checks.outputs import images
from mtlbench.checks.subject import Subject, double
from mtlbench.checks.tiny import IMAGE
from mtlbench.data.base import ALL
from mtlbench.deployed.cost import measure, plain_backbone_parameters
from mtlbench.deployed.network import DeployedNetwork

ROUNDING = 1 + 1e-9


def costs(subject: Subject) -> Iterator[str]:
    """What is deployed holds the parameters that its outputs need and no others, and a task alone costs less than all."""
    method = subject.trained.trained
    names = tuple(t.name for t in method.tasks)
    yield from uncounted(method.deployed().eval(), names)
    network = copy.deepcopy(method.deployed().eval()).float()  # a study's precision
    deployed = DeployedNetwork(network, method.build, method.tasks, {ALL: names}, IMAGE)
    cost = measure(deployed, plain_backbone_parameters(method.build))
    macs = cost.macs
    for task, own in macs.each.items():
        if not own < macs.total:
            yield (
                f"'{task}' alone takes {own:.0f} multiply-adds, all tasks together {macs.total:.0f}: "
                "forward computes more than it is asked for"
            )
    if macs.total > ROUNDING * macs.own_pass:
        yield f"all tasks together take {macs.total:.0f} multiply-adds, in passes of their own {macs.own_pass:.0f}"
    counted = sum({id(p): p.numel() for p in network.parameters()}.values())
    if cost.parameters.total != counted:
        yield f"{cost.parameters.total} parameters are declared, {counted} counted"


def uncounted(network: nn.Module, names: tuple[str, ...]) -> Iterator[str]:
    """Parameters that are held and not used, or used and not held."""
    for parameter in network.parameters():
        parameter.requires_grad_(True)
    with double():
        used = leaves(network(images(2), names).values())
    held = {id(p): name for name, p in network.named_parameters()}
    for key, name in held.items():
        if key not in used:
            yield f"deployed() holds '{name}', which no output depends on: its parameters would be counted"
    for key, leaf in used.items():
        if key not in held:
            yield f"deployed() uses a parameter {tuple(leaf.shape)} that it does not hold: it would not be counted"


def leaves(outputs: Iterable[Tensor]) -> dict[int, Tensor]:
    """The leaf tensors that outputs were computed from, by identity."""
    stack = [o.grad_fn for o in outputs]
    seen: set[object] = set()
    found: dict[int, Tensor] = {}
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found[id(node.variable)] = node.variable
        stack += [parent for parent, _ in node.next_functions]
    return found
