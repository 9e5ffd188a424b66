"""Every term of the policy against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adashare import policy
from adashare.policy import EXECUTE, SKIP
from mtlbench.errors import ConfigError
from mtlbench.seeding import generator


def logits_of(alpha: list[list[float]]) -> Tensor:
    """Logits whose P(execute) is `alpha`, with a common offset that must not matter."""
    p = torch.tensor(alpha, dtype=torch.float64)
    logits = torch.empty(*p.shape, 2, dtype=torch.float64)
    logits[..., EXECUTE], logits[..., SKIP] = p.log() + 0.7, (1 - p).log() + 0.7
    return logits


TWO = [[0.9, 0.5, 0.2], [0.6, 0.5, 0.8]]  # T = 2, L = 3
THREE = [*TWO, [0.1, 0.5, 0.8]]


def test_alpha_is_the_probability_of_the_execute_index() -> None:
    torch.testing.assert_close(policy.alpha(logits_of(TWO)), torch.tensor(TWO, dtype=torch.float64))


def test_paper_sparsity_is_the_sum_of_log_alpha() -> None:
    expected = math.log(0.9 * 0.5 * 0.2 * 0.6 * 0.5 * 0.8)
    assert policy.sparsity(logits_of(TWO), "paper", 3).item() == pytest.approx(expected)


def test_release_sparsity_is_cross_entropy_toward_skip_averaged_over_blocks_and_summed_over_tasks() -> None:
    expected = (
        -(math.log(0.1) + math.log(0.5) + math.log(0.8)) / 3 - (math.log(0.4) + math.log(0.5) + math.log(0.2)) / 3
    )
    assert policy.sparsity(logits_of(TWO), "release", 3).item() == pytest.approx(expected)


@pytest.mark.parametrize("objective", ["paper", "release"])
def test_sparsity_is_less_where_less_is_executed(objective: policy.Objective) -> None:
    less = [[0.3, 0.5, 0.2], [0.6, 0.5, 0.8]]
    assert policy.sparsity(logits_of(less), objective, 3) < policy.sparsity(logits_of(TWO), objective, 3)


def test_sparsity_counts_only_open_blocks() -> None:
    assert policy.sparsity(logits_of(TWO), "paper", 1).item() == pytest.approx(math.log(0.2 * 0.8))
    release = policy.sparsity(logits_of(TWO), "release", 2).item()
    assert release == pytest.approx(-(math.log(0.5) + math.log(0.8)) / 2 - (math.log(0.5) + math.log(0.2)) / 2)


def test_paper_sharing_weights_fall_with_depth_and_count_ordered_pairs() -> None:
    # (L - l)/L for l = 1, 2, 3 of 3: 2/3, 1/3, 0; each unordered pair twice.
    assert policy.sharing(logits_of(TWO), "paper", 3).item() == pytest.approx(2 * (2 / 3) * 0.3)
    pairs = (2 / 3) * (0.3 + 0.8 + 0.5)  # |.9-.6| + |.9-.1| + |.6-.1|; block 2 agrees; block 3 weighs nothing
    assert policy.sharing(logits_of(THREE), "paper", 3).item() == pytest.approx(2 * pairs)


def test_release_sharing_weights_rise_with_depth_and_count_unordered_pairs_of_raw_logits() -> None:
    z = logits_of(THREE)[..., EXECUTE]
    expected = 0.0
    for i, j in ((0, 1), (0, 2), (1, 2)):
        for block in range(3):
            expected += (block + 1) / 3 * abs(z[i, block].item() - z[j, block].item())
    assert policy.sharing(logits_of(THREE), "release", 3).item() == pytest.approx(expected)
    shifted = logits_of(THREE)
    shifted[0] += 5.0  # the same alpha, other logits: the release's term notices, the paper's does not
    assert policy.sharing(shifted, "release", 3).item() != pytest.approx(expected)
    assert policy.sharing(shifted, "paper", 3).item() == pytest.approx(
        policy.sharing(logits_of(THREE), "paper", 3).item()
    )


def test_sharing_counts_only_open_blocks() -> None:
    apart = [[0.9, 0.7, 0.2], [0.6, 0.5, 0.8]]
    assert policy.sharing(logits_of(apart), "paper", 2).item() == pytest.approx(2 * (1 / 3) * 0.2)


@pytest.mark.parametrize("objective", ["paper", "release"])
def test_sharing_of_equal_policies_is_zero(objective: policy.Objective) -> None:
    assert policy.sharing(logits_of([TWO[0]] * 4), objective, 3).item() == 0.0


def test_penalties_stay_finite_where_alpha_underflows() -> None:
    logits = torch.zeros(1, 2, 2)
    logits[..., SKIP] = 400.0
    logits.requires_grad_()
    loss = policy.sparsity(logits, "paper", 2)
    loss.backward()
    assert loss.item() == pytest.approx(-800.0)
    assert torch.isfinite(logits.grad).all()


def test_relaxation_is_the_softmax_of_perturbed_log_probabilities() -> None:
    logits = logits_of([[0.8]])
    noise = torch.empty(1, 1, 2, dtype=torch.float64)
    noise[..., EXECUTE], noise[..., SKIP] = 0.3, -0.2
    a, b = math.exp((math.log(0.8) + 0.3) / 2.0), math.exp((math.log(0.2) - 0.2) / 2.0)
    assert policy.relaxed(logits, noise, 2.0).item() == pytest.approx(a / (a + b))


def test_noise_is_gumbel_and_cold_samples_follow_alpha() -> None:
    noise = policy.gumbel((20000, 2), generator("test", 0))
    assert noise.mean().item() == pytest.approx(0.5772, abs=0.02)  # Euler's constant
    assert noise.var().item() == pytest.approx(math.pi**2 / 6, abs=0.05)
    logits = logits_of([[0.3]]).expand(20000, 1, 2)
    cold = policy.relaxed(logits, noise.unsqueeze(1), 0.01)
    assert cold.mean().item() == pytest.approx(0.3, abs=0.015)


def test_hard_samples_are_exactly_zero_or_one_with_the_soft_gradient() -> None:
    noise = policy.gumbel((4, 6, 2), generator("test", 1))
    weight = torch.arange(24.0, dtype=torch.float64).view(4, 6)
    grads = []
    for hard in (False, True):
        logits = torch.zeros(4, 6, 2, dtype=torch.float64, requires_grad=True)
        v = policy.relaxed(logits, noise, 1.5, hard=hard)
        (v * weight).sum().backward()
        grads.append(logits.grad)
    assert set(v.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(grads[0], grads[1])
    assert (grads[1].flatten()[2:] != 0).all()


def test_decided_policy_is_the_most_likely_ties_and_closed_blocks_execute() -> None:
    logits = logits_of([[0.1, 0.4, 0.6, 0.2], [0.9, 0.1, 0.1, 0.1]])
    logits[1, 3] = 0.0
    assert policy.decide(logits, 4).int().tolist() == [[0, 0, 1, 0], [1, 0, 0, 1]]
    assert policy.decide(logits, 2).int().tolist() == [[1, 1, 1, 0], [1, 1, 0, 1]]
    assert policy.decide(logits, 0).all()


def test_drawn_policies_follow_alpha_and_closed_blocks_execute() -> None:
    torch.manual_seed(0)
    drawn = torch.stack([policy.draw(logits_of([[0.1, 0.3, 0.8]]), 2) for _ in range(4000)]).double().mean(0)
    assert drawn[0].tolist() == pytest.approx([1.0, 0.3, 0.8], abs=0.03)


def test_curriculum_opens_one_more_block_every_speed_turns() -> None:
    assert [policy.open_blocks(turn, 4, 3.0) for turn in range(12)] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]
    assert [policy.open_blocks(turn, 3, 1.0) for turn in range(5)] == [1, 2, 3, 3, 3]


@pytest.mark.parametrize(("alpha", "bits", "flips"), [(0.5, 1.0, True), (0.999999, 0.0, False), (0.65, 0.9341, False)])
def test_entropy_in_bits_and_the_mark_of_coin_flips(alpha: float, bits: float, flips: bool) -> None:
    p = torch.full((2, 3), alpha)
    assert policy.entropy(p) == pytest.approx(bits, abs=1e-3)
    assert policy.undecided(p) is flips


def test_policy_text() -> None:
    assert policy.parse_policy("101, 011", 2, 3).int().tolist() == [[1, 0, 1], [0, 1, 1]]
    with pytest.raises(ConfigError, match=r"policy '101' has 1 patterns for 2 tasks \(one a task, by commas\)"):
        policy.parse_policy("101", 2, 3)
    with pytest.raises(ConfigError, match="policy '1012' does not fit: 3 signs, 1 to execute and 0 to skip a block"):
        policy.parse_policy("101,1012", 2, 3)
