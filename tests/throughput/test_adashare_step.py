"""What bounds AdaShare's whole training step at published heads: which part of it the engine can make shorter at all.

    python -m pytest tests/throughput/test_adashare_step.py --benchmark-only -s

Heads of 1,024 as in the paper preset, backbones of width 1, forward, loss, backward and fused Adam, in processor time by
turns: the whole step with the engine, the same with torch's own gradients of dilated convolutions, the plain published form
with these (one pass a task, every block masked), and what no engine changes: heads, losses and optimiser, each alone. If the
backbone took no time, the step could be `bound` times as fast as the plain form. STEP_BATCH, STEP_SIDE and STEP_ROUNDS change
the batch, the image's side and the turns.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from adashare.network import Decisions, execute
from adashare.presets import PROFILED
from adashare.random_policy import draw_policy
from mtlbench.backbones import Architecture, Build, dilated
from mtlbench.machine import keep_memory
from mtlbench.plugins import load
from mtlbench.tasks import Task
from mtlbench.tasks.losses import task_loss
from tests.helpers.adashare_plain import plain
from tests.throughput.test_adashare_engine import seconds

BATCH, SIDE = int(os.environ.get("STEP_BATCH", "2")), int(os.environ.get("STEP_SIDE", "96"))
ROUNDS = int(os.environ.get("STEP_ROUNDS", "5"))
TASKS = (Task("segmentation", "segmentation", 40), Task("normals", "normals", 3), Task("depth", "depth", 1))
SIZES = {2: "nyuv2-2", 3: "nyuv2-3"}
KINDS = ("published", "drawn", "soft-half", "soft-all")
OWN = dilated.INSIDE


class Step:
    """A network with its policy, and the parts of its training step."""

    def __init__(self, kind: str, count: int) -> None:
        name, published = PROFILED[SIZES[count]]
        self.tasks = TASKS[:count]
        build = Build(Architecture(name, (3, SIDE, SIDE), 1.0, 1024), load("backbones", name), 0)
        self.backbone = build.backbone().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        heads = {t.name: build.head(t, self.backbone.channels[-1]) for t in self.tasks}
        self.heads = nn.ModuleDict(heads).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameters = [*self.backbone.parameters(), *self.heads.parameters()]
        self.optimizer = torch.optim.Adam(parameters, fused=True)
        random = torch.Generator().manual_seed(count)
        self.x = torch.randn(BATCH, 3, SIDE, SIDE, generator=random).contiguous(memory_format=torch.channels_last)
        self.targets = {t.name: t.meaning.example(t, torch.randn(self.x.shape, generator=random)) for t in self.tasks}
        self.decisions = self._decide(kind, published, random)

    def _decide(self, kind: str, published: str, random: torch.Generator) -> Decisions:
        blocks, names = len(self.backbone.blocks), [t.name for t in self.tasks]
        if kind == "published":
            rows = [[sign == "1" for sign in row] for row in published.split(",")]
        elif kind == "drawn":  # a fifth of the blocks skipped
            rows = draw_policy([round(0.2 * len(names) * blocks)], len(names), blocks, random).tolist()
        else:
            closed = 0 if kind == "soft-all" else blocks // 2
            v = torch.rand(len(names), blocks, generator=random).requires_grad_()
            rows = [[True] * closed + list(row.unbind()[closed:]) for row in v]
        return dict(zip(names, rows, strict=True))

    def engine(self) -> dict[str, Tensor]:
        return execute(self.backbone.stem, self.backbone.blocks, self.x, self.decisions)

    def plain(self) -> dict[str, Tensor]:
        masks = {t: [c if isinstance(c, Tensor) else float(c) for c in row] for t, row in self.decisions.items()}
        return plain(self.backbone.stem, self.backbone.blocks, self.x, masks, track=False)

    def whole(self, backbone: Callable[[], dict[str, Tensor]]) -> None:
        """A training step."""
        features = backbone()
        self.loss({t: head(features[t]) for t, head in self.heads.items()})
        self.move()

    def loss(self, outputs: dict[str, Tensor]) -> None:
        sum(task_loss(t, outputs[t.name], self.targets[t.name]).sum() for t in self.tasks).backward()  # type: ignore[union-attr]

    def move(self) -> None:
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)

    def parts(self) -> dict[str, float]:
        """Seconds of what the engine cannot change, each alone: forward and backward of all heads, of all losses; Adam."""
        with torch.no_grad():
            features = {t: f.clone() for t, f in self.engine().items()}
        for f in features.values():
            f.requires_grad_()
        outputs: dict[str, Tensor] = {}

        def forward() -> None:
            outputs.update({t: head(features[t]) for t, head in self.heads.items()})

        found = {"heads": seconds(forward)}
        leaves = {t: o.detach().requires_grad_() for t, o in outputs.items()}
        found["losses"] = seconds(lambda: self.loss(leaves))
        slopes = [leaf.grad for leaf in leaves.values()]
        found["heads"] += seconds(lambda: torch.autograd.backward(list(outputs.values()), slopes))
        for p in self.backbone.parameters():
            p.grad = torch.zeros_like(p)
        found["optimiser"] = seconds(self.move)
        return found


@pytest.mark.parametrize("tasks", [2, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_step_over_plain_form(benchmark: Any, monkeypatch: pytest.MonkeyPatch, kind: str, tasks: int) -> None:
    keep_memory()
    step = Step(kind, tasks)

    def timed(backbone: Callable[[], dict[str, Tensor]], own: bool) -> float:
        monkeypatch.setattr(dilated, "INSIDE", OWN if own else ())
        return seconds(lambda: step.whole(backbone))

    def turn() -> dict[str, float]:
        found = {
            "plain": timed(step.plain, False),
            "before": timed(step.engine, False),
            "now": timed(step.engine, True),
        }
        return {**found, **step.parts()}

    timed(step.engine, True)  # the first step is slower
    turns = [turn() for _ in range(ROUNDS)]
    benchmark.pedantic(lambda: step.whole(step.engine), rounds=1)
    middle = {name: statistics.median(t[name] for t in turns) for name in turns[0]}
    before, now = (sorted(t["plain"] / t[name] for t in turns) for name in ("before", "now"))
    fixed = [middle[name] for name in ("heads", "losses", "optimiser")]
    benchmark.extra_info |= {"gain": round(statistics.median(now), 3), "bound": round(middle["plain"] / sum(fixed), 3)}
    gains = ", ".join(f"{statistics.median(g):.2f} ({g[0]:.2f} to {g[-1]:.2f})" for g in (before, now))
    shares = " ".join(f"{part / middle['now']:.2f}" for part in fixed)
    print(
        f"\n{kind} T={tasks}: plain {middle['plain']:.2f} s over torch's and own gradients {gains}; heads, losses, optimiser "
        f"{shares} of the step; bound {middle['plain'] / sum(fixed):.2f}"
    )


@pytest.mark.parametrize("tasks", [2, 3])
def test_stacking_heads_on_one_map(benchmark: Any, tasks: int) -> None:
    """What one convolution for all tasks' first layers could win, where they read the same map."""
    step = Step("published", tasks)
    side = SIDE // 8 + 1
    x = torch.randn(BATCH, 512, side, side).contiguous(memory_format=torch.channels_last).requires_grad_()
    ratios = []
    for branches in zip(*(head.branches for head in step.heads.values()), strict=True):
        first = [branch[0] for branch in branches]
        d, inputs, hidden = first[0].dilation, first[0].in_channels, first[0].out_channels
        stacked = nn.Conv2d(inputs, tasks * hidden, 3, padding=d, dilation=d).to(memory_format=torch.channels_last)

        def run(*layers: nn.Module) -> None:
            outputs = [layer(x) for layer in layers]
            torch.autograd.backward(outputs, [torch.ones_like(o) for o in outputs])

        run(*first, stacked)
        apart, together = seconds(lambda: run(*first)), seconds(lambda: run(stacked))  # noqa: B023
        ratios.append(apart / together)
    benchmark.pedantic(lambda: None, rounds=1)
    print(
        f"\nstacking T={tasks}: a convolution a task over a stacked one, by dilation: {' '.join(f'{r:.2f}' for r in ratios)}"
    )
