"""DSelect-k's gate (Hazimeh et al., NeurIPS 2021, arXiv 2106.03760): k experts selected, differentiably, by binary codes."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

GAMMA = 1.0
"""The width of the smooth step: codes beyond half of it are certain."""


def smooth_step(t: Tensor, gamma: float = GAMMA) -> Tensor:
    """S(t): 0 up to -gamma/2, 1 from gamma/2, and the cubic between whose slope is 0 at both ends (section 3.1)."""
    inner = -2 / gamma**3 * t**3 + 3 / (2 * gamma) * t + 0.5
    return torch.where(t <= -gamma / 2, torch.zeros_like(t), torch.where(t >= gamma / 2, torch.ones_like(t), inner))


def selector(codes: Tensor) -> Tensor:
    """r(z) (..., 2^m) of codes (..., m): expert i has the product over bits b of S(z_b) or 1 - S(z_b), by i's bits."""
    bits = codes.shape[-1]
    steps = smooth_step(codes)
    numbers = torch.arange(1 << bits, device=codes.device)
    chosen = (numbers[:, None] >> torch.arange(bits, device=codes.device)) & 1  # (2^m, m)
    return torch.where(chosen.bool(), steps.unsqueeze(-2), 1 - steps.unsqueeze(-2)).prod(-1)


class Selection(nn.Module):
    """One task's gate, the same for every input: `q = sum_i softmax(alpha)_i r(z_i)` over k codes (equation 4)."""

    def __init__(self, experts: int, k: int) -> None:
        super().__init__()
        bits = int(math.log2(experts))
        self.alpha = nn.Parameter(torch.zeros(k))
        # Near 0 every expert has some weight; codes of 0 alone would never part.
        self.codes = nn.Parameter(torch.empty(k, bits).uniform_(-GAMMA / 100, GAMMA / 100))

    def forward(self) -> Tensor:
        """(E,), which sum to 1; at most k are not 0 once the codes are certain."""
        weights: Tensor = self.alpha.softmax(0) @ selector(self.codes)
        return weights

    def entropy(self) -> Tensor:
        """The sum over the k codes of the entropy of r(z_i), which vanishes where they are certain (equation 5)."""
        certain = selector(self.codes).clamp_min(1e-12)  # at 0 the slope of the entropy is infinite
        return -(certain * certain.log()).sum()
