"""The policy's mathematics (Sun et al., AdaShare, NeurIPS 2020, arXiv 1911.12423, section 3).

Logits are (T, L, 2): task k, block l, and two choices with *named* indices. alpha = P(execute) is (T, L). "Open" blocks
are the last ones, those that the curriculum has handed to the policy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mtlbench.errors import ConfigError

Objective = Literal["paper", "release"]

SKIP, EXECUTE = 0, 1
"""Where the two choices stand. The paper writes (1 - alpha, alpha), its release the reverse: never rely on position."""
UNDECIDED = 0.1
"""A policy whose mean |alpha - 0.5| is below this stayed at coin flips."""


def log_alpha(logits: Tensor) -> Tensor:
    """log P(execute), (T, L); finite however small the probability becomes."""
    return F.log_softmax(logits, dim=-1)[..., EXECUTE]


def alpha(logits: Tensor) -> Tensor:
    """P(execute), (T, L)."""
    return logits.softmax(dim=-1)[..., EXECUTE]


def gumbel(shape: Sequence[int], random: torch.Generator) -> Tensor:
    """Standard Gumbel noise G = -log(-log U), U uniform on (0, 1) (equation 1); float64 on the CPU."""
    uniform = torch.rand(tuple(shape), generator=random, dtype=torch.float64).clamp(min=torch.finfo(torch.float64).tiny)
    return -torch.log(-torch.log(uniform))


def relaxed(logits: Tensor, noise: Tensor, temperature: float, hard: bool = False) -> Tensor:
    """v_execute of the Gumbel-softmax relaxation (equation 2): (T, L) in (0, 1), differentiable in the logits.

    `hard` rounds the values to 0 and 1 and keeps the relaxation's gradient (straight-through; Jang et al. 2017).
    """
    soft = ((F.log_softmax(logits, dim=-1) + noise) / temperature).softmax(dim=-1)[..., EXECUTE]
    return (soft >= 0.5).to(soft.dtype) + (soft - soft.detach()) if hard else soft


def decide(logits: Tensor, opened: int) -> Tensor:
    """The most likely policy, (T, L) bool; ties, and blocks never opened, execute."""
    return (logits[..., EXECUTE] >= logits[..., SKIP]) | ~is_open(logits, opened)


def draw(logits: Tensor, opened: int) -> Tensor:
    """A policy drawn from the learned distribution with torch's generator (section 3: u ~ pi), (T, L) bool."""
    return (torch.rand(logits.shape[:2]) < alpha(logits.detach()).cpu()) | ~is_open(logits, opened).cpu()


def is_open(logits: Tensor, opened: int) -> Tensor:
    """Which blocks are the last `opened`, (L,) bool."""
    blocks = logits.shape[1]
    return torch.arange(blocks, device=logits.device) >= blocks - opened


def sparsity(logits: Tensor, objective: Objective, opened: int) -> Tensor:
    """L_sparsity of the open blocks, a scalar.

    paper: sum_{l,k} log alpha_{l,k} (equation 3). release: summed over tasks, the mean over the open blocks of the
    cross-entropy toward skipping, -log(1 - alpha).
    """
    logits = logits[:, logits.shape[1] - opened :]
    if objective == "paper":
        return log_alpha(logits).sum()
    return -F.log_softmax(logits, dim=-1)[..., SKIP].mean(dim=1).sum()


def sharing(logits: Tensor, objective: Objective, opened: int) -> Tensor:
    """L_sharing of the open blocks, a scalar: how far the tasks' policies lie apart.

    paper: sum over ordered pairs of tasks and l = 1..L of (L - l)/L |alpha_{l,k1} - alpha_{l,k2}| (equation 4): the
    weight falls with depth. release: sum over unordered pairs and l = 0..L-1 of (l + 1)/L |z_{l,i} - z_{l,j}| on the
    raw logits of executing: the weight rises with depth.
    """
    blocks = logits.shape[1]
    depth = torch.arange(1, blocks + 1, dtype=logits.dtype, device=logits.device)
    if objective == "paper":
        score, weight, pairs = alpha(logits), (blocks - depth) / blocks, 1.0
    else:
        score, weight, pairs = logits[..., EXECUTE], depth / blocks, 0.5
    apart = (score.unsqueeze(0) - score.unsqueeze(1)).abs().sum(dim=(0, 1))  # (L,), every ordered pair
    return pairs * (weight * apart)[blocks - opened :].sum()


def open_blocks(round_: int, blocks: int, speed: float) -> int:
    """How many of the last blocks the policy decides in a round: floor(round / speed) + 1 (section 3)."""
    return min(blocks, math.floor(round_ / speed + 1e-9) + 1)  # 1e-9: a derived speed must not round a block away


def entropy(probability: Tensor) -> float:
    """Mean binary entropy of alpha (T, L) in bits: 1 is a coin flip, 0 is decided."""
    p = probability.double().clamp(1e-12, 1 - 1e-12)
    return float(-(p * p.log2() + (1 - p) * (1 - p).log2()).mean())


def undecided(probability: Tensor) -> bool:
    """Whether alpha (T, L) stayed at coin flips."""
    return float((probability.double() - 0.5).abs().mean()) < UNDECIDED


def parse_policy(text: str, tasks: int, blocks: int) -> Tensor:
    """A decided policy (T, L) from one pattern a task, as in "10111111,11111011" (1: execute).

    Raises ConfigError where a pattern's count, length or signs do not fit.
    """
    rows = [row.strip() for row in text.split(",")]
    if len(rows) != tasks:
        raise ConfigError(f"policy '{text}' has {len(rows)} patterns for {tasks} tasks (one a task, by commas)")
    for row in rows:
        if len(row) != blocks or set(row) - {"0", "1"}:
            raise ConfigError(f"policy '{row}' does not fit: {blocks} signs, 1 to execute and 0 to skip a block")
    return torch.tensor([[sign == "1" for sign in row] for row in rows])
