"""AdaShare the method: its phases, what moves in them, what is drawn when, and what is shipped."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from adashare.method import CANDIDATE, RETRAIN, SEARCH, WARMUP, AdaShare
from adashare.policy import EXECUTE
from mtlbench.config import RunConfig, parse
from mtlbench.errors import ConfigError
from mtlbench.method import Budget, Where
from mtlbench.training.optimisers import TurnOptimizer
from mtlbench.training.weighting import Weighting
from tests.helpers.networks import TASKS, begun, images, tiny_method

EPOCH = {"train": 10, "train-a": 8, "train-b": 2}
NAMES = [t.name for t in TASKS[:3]]


def make(budget: int = 600, **options: object) -> AdaShare:
    method = tiny_method("adashare", 3, options)
    assert isinstance(method, AdaShare)
    begun(method, Budget(budget, EPOCH))
    return method


def searching(method: AdaShare, turn: int = 1, round_: int | None = None) -> AdaShare:
    """Somewhere in the search's last round, or in the one named."""
    number = method.schedule.rounds - 1 if round_ is None else round_
    method.where = Where(method.schedule.step(number), SEARCH, number, turn)
    return method


def step_loss(method: AdaShare, x: Tensor, tasks: Sequence[str] = NAMES) -> Tensor:
    """A loss in which every output counts."""
    weights = torch.linspace(0.5, 1.5, 1000)
    outputs = method(x, tasks)
    return method.loss({t: (o.flatten(1) * weights[: o[0].numel()]).square().mean(1) for t, o in outputs.items()})


# ------------------------------------------------------------------------------------------------------------ phases


@pytest.mark.parametrize("budget", [1, 2, 3, 5, 7, 10, 23, 100, 600, 6000, 20000])
@pytest.mark.parametrize(
    "options", [{}, {"select": "sample", "candidates": 3}, {"turns": (40, 10)}, {"turns": "epoch"}]
)
def test_phases_spend_exactly_the_budget(budget: int, options: dict[str, object]) -> None:
    phases = begun(tiny_method("adashare", 2, options), Budget(budget, EPOCH))
    assert sum(p.steps for p in phases) == budget
    assert all(p.steps >= 0 for p in phases)
    assert phases[-1].final
    assert phases[-1].steps > 0


def test_default_phases() -> None:
    warmup, search, final = begun(make(1000), Budget(1000, EPOCH))
    assert [(p.name, p.steps) for p in (warmup, search, final)] == [(WARMUP, 200), (SEARCH, 300), (RETRAIN, 500)]
    assert [(t.part, [g.prefix for g in t.groups]) for t in search.turns] == [
        ("train-a", ["backbone", "heads"]),
        ("train-b", ["policy"]),
    ]
    assert [t.steps for t in search.turns] == [3, 2]
    assert final.turns[0].part == "train"
    assert final.fresh == ("backbone", "heads")
    assert not warmup.final
    assert not search.final


def test_retrain_continue_keeps_the_weights() -> None:
    assert begun(make(retrain="continue"), Budget(600, EPOCH))[-1].fresh == ()


@pytest.mark.parametrize("budget", [100, 600, 3000, 20000])
@pytest.mark.parametrize("backbone", ["resnet18", "resnet34"])
def test_derived_schedules_open_everything_by_half_and_cool_down(budget: int, backbone: str) -> None:
    method = tiny_method("adashare", 2, backbone=backbone)
    begun(method, Budget(budget, EPOCH))
    plan = method.schedule
    assert plan.opened(0) == 1
    assert plan.opened(plan.rounds // 2) == method.depth
    assert plan.temperature(0) == 5.0
    assert plan.temperature(plan.rounds - 1) <= 0.5 + 1e-9
    assert 0.01 <= plan.logits_lr <= 0.2


@pytest.mark.parametrize(("budget", "turns"), [(300, (3, 2)), (3000, (10, 3)), (20000, (72, 18))])
def test_a_short_search_spends_more_of_it_on_the_logits(budget: int, turns: tuple[int, int]) -> None:
    plan = make(budget).schedule
    assert (plan.weights, plan.logits) == turns


def test_published_schedule_can_be_set() -> None:
    plan = make(40000, turns="400,100", speed=3, decay=0.965, logits_lr=0.01, warmup=0.1, search=0.4).schedule
    assert (plan.weights, plan.logits, plan.rounds, plan.search) == (400, 100, 32, 16000)
    assert [plan.opened(r) for r in (0, 2, 3, 20, 21, 31)] == [1, 1, 2, 7, 8, 8]
    assert plan.temperature(10) == pytest.approx(5 * 0.965**10)


def test_turns_of_an_epoch() -> None:
    plan = make(1000, turns="epoch").schedule
    assert (plan.weights, plan.logits, plan.search, plan.rounds) == (8, 2, 300, 30)


def test_without_curriculum_all_blocks_are_open_at_once() -> None:
    assert make(curriculum=False).schedule.opened(0) == 8


def test_weight_decay_of_the_logits_follows_the_objective() -> None:
    for options, decay in (({}, 0.0), ({"objective": "release"}, 5e-4), ({"logits_weight_decay": 0.1}, 0.1)):
        assert begun(make(**options), Budget(600, EPOCH))[1].turns[1].optimizer.weight_decay == decay


# --------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("sampling", ["soft", "hard"])
@pytest.mark.parametrize("objective", ["paper", "release"])
def test_every_logit_of_an_open_block_gets_gradient_from_the_tasks_alone(sampling: str, objective: str) -> None:
    method = make(sampling=sampling, objective=objective, lambda_sparsity=0, lambda_sharing=0)
    for round_ in (0, method.schedule.rounds // 4, method.schedule.rounds - 1):
        searching(method, round_=round_).zero_grad()
        step_loss(method, images(dtype=torch.float32)).backward()
        moved = (method.policy.logits.grad != 0).all(dim=2).all(dim=0)
        assert moved.tolist() == [False] * (8 - method.schedule.opened(round_)) + [True] * method.schedule.opened(
            round_
        )


@pytest.mark.parametrize("phase", [WARMUP, SEARCH, RETRAIN])
def test_every_slice_of_every_weight_gets_gradient_in_its_phase(phase: str) -> None:
    method = searching(make(), turn=0)
    if phase != SEARCH:
        method.where = Where(0, phase, 0, 0)
    step_loss(method, images(4, dtype=torch.float32)).backward()
    for name, weight in method.named_parameters():
        if name.startswith(("backbone", "heads")) and weight.dim() > 1:
            # a head's hidden units may be dead at random; every slice of the backbone must move
            slices = weight.grad.flatten(1).abs().sum(1)
            assert (slices > 0).any() if name.startswith("heads") else (slices > 0).all(), name


def test_turns_move_logits_and_weights_apart() -> None:
    method = make(lambda_sparsity=0.1)
    config = RunConfig(method="adashare", tasks=tuple(NAMES), steps=600)
    weighting = Weighting(method.tasks, {})
    search = begun(method, Budget(600, EPOCH))[1]
    for number, turn in enumerate(search.turns):
        searching(method, turn=number)
        before = {k: v.clone() for k, v in method.state_dict().items()}
        optimizer = TurnOptimizer(turn, method, weighting, config)
        optimizer.freeze_others(method, weighting)
        step_loss(method, images(dtype=torch.float32)).backward()
        optimizer.torch.step()
        changed = {k for k, v in method.state_dict().items() if not torch.equal(v, before[k])}
        if number == 0:
            assert "policy.logits" not in changed
            assert {k for k, p in method.named_parameters() if k.startswith("backbone")} <= changed
        else:
            assert "policy.logits" in changed
            assert not any(k.startswith(("backbone", "heads")) for k in changed)
            assert (method.policy.logits != before["policy.logits"]).all()


def test_reduced_precision_keeps_the_logits_gradient() -> None:
    grads = []
    for enabled in (False, True):
        method = searching(make(lambda_sparsity=0, lambda_sharing=0), round_=0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = method(images(dtype=torch.float32), NAMES)
        method.loss({t: o.float().flatten(1).square().mean(1) for t, o in outputs.items()}).backward()
        grads.append(method.policy.logits.grad[:, 7])
    assert grads[1].dtype == torch.float32
    torch.testing.assert_close(grads[1], grads[0], atol=0.02 * float(grads[0].abs().max()), rtol=0.1)


def test_penalties_join_only_in_the_search() -> None:
    method = searching(make(lambda_sparsity=0.3, lambda_sharing=0.7, init="random"))
    logits = method.policy.logits.double()
    alpha = logits.softmax(-1)[..., EXECUTE]
    sparsity = alpha.log().sum()
    weight = torch.tensor([(8 - depth) / 8 for depth in range(1, 9)]).double()
    sharing = sum((weight * (alpha[i] - alpha[j]).abs()).sum() for i in range(3) for j in range(3))
    losses = {"segmentation": torch.tensor([1.0, 2.0])}
    expected = 3.0 + 0.3 * sparsity + 0.7 * sharing
    assert method.loss(losses).item() == pytest.approx(expected.item(), rel=1e-5)
    method.where = Where(0, RETRAIN, 0, 0)
    assert method.loss(losses).item() == 3.0


# ------------------------------------------------------------------------------------------------------------- draws


def test_noise_is_one_draw_a_step_whatever_is_asked_for() -> None:
    method = searching(make())
    both, again = method.decisions(), method.decisions()
    assert all(torch.equal(a, b) for t in NAMES for a, b in zip(both[t], again[t], strict=True))
    x = images(dtype=torch.float32)
    together = method(x, NAMES)
    apart = {t: method(x, (t,))[t] for t in reversed(NAMES)}
    for task in NAMES:
        torch.testing.assert_close(together[task], apart[task], atol=1e-5, rtol=1e-5)
    method.where = Where(method.where.step + 1, SEARCH, method.where.round, 1)
    assert not torch.equal(torch.stack(method.decisions()["depth"]), torch.stack(both["depth"]))
    assert (
        torch.stack([torch.stack(row) for row in both.values()]).unique().numel() == 24
    )  # every task and block has its own noise


def test_closed_blocks_run_once_for_all_tasks() -> None:
    method = searching(make(), round_=0)
    assert all(row[:7] == (True,) * 7 and isinstance(row[7], Tensor) for row in method.decisions().values())
    calls = count_residuals(method)
    method(images(dtype=torch.float32), NAMES)
    assert calls == [1] * 8
    searching(method, round_=method.schedule.rounds - 1)
    calls[:] = [0] * 8
    method(images(dtype=torch.float32), NAMES)
    assert calls == [1] + [3] * 7  # the first soft block still has one common input


def count_residuals(method: AdaShare) -> list[int]:
    """How often each block's residual branch runs."""
    calls = [0] * len(method.backbone.blocks)
    for index, block in enumerate(method.backbone.blocks):

        def counted(x: Tensor, index: int = index, run=block.residual) -> Tensor:
            calls[index] += 1
            return run(x)

        block.residual = counted
    return calls


def test_skipped_blocks_are_not_executed_and_prefixes_are_shared() -> None:
    method = tiny_method("adashare", 3, {"policy": "11011010,11001011,11001111"})
    calls = count_residuals(method)
    method(images(dtype=torch.float32), NAMES)
    # block 3 runs for the first task alone; 5 for the third; 4, 6, 7 once for every path that wants them
    assert calls == [1, 1, 0, 1, 2, 1, 3, 2]
    calls[:] = [0] * 8
    method(images(dtype=torch.float32), ("normals",))
    assert calls == [1, 1, 0, 0, 1, 0, 1, 1]


def test_evaluation_in_the_search_uses_the_most_likely_policy() -> None:
    method = searching(make()).eval()
    with torch.no_grad():
        method.policy.logits[1, 6, EXECUTE] = -1.0
    decisions = method.decisions()
    assert decisions["normals"] == (True,) * 6 + (False, True)
    assert decisions["depth"] == (True,) * 8


# -------------------------------------------------------------------------------------------------------- candidates


def test_the_most_likely_policy_is_retrained() -> None:
    method = make(init="random")
    method.start(begun(method, Budget(600, EPOCH))[-1], {})
    logits = method.policy.logits
    assert torch.equal(method.decided, logits[..., 1] > logits[..., 0])
    (artefact,) = method.artefacts()
    candidates = artefact.data["candidates"]
    assert candidates == [{"policy": method.decided.int().tolist(), "score": None, "chosen": True}]


def test_candidates_are_scored_and_the_best_is_retrained() -> None:
    method = make(init="random", select="sample", candidates=4)
    _, _, *trials, final = begun(method, Budget(600, EPOCH))
    assert [p.name for p in trials] == [f"{CANDIDATE}{i}" for i in range(4)]
    assert all(p.scored and p.fresh == ("backbone", "heads") and p.steps == 30 and not p.final for p in trials)
    scores, policies = {}, []
    for trial, score in zip(trials, (0.1, float("nan"), 0.4, 0.3), strict=True):
        torch.manual_seed(5)
        method.start(trial, dict(scores))
        scores[trial.name] = score
        policies.append(method.decided.clone())
    assert len({tuple(p.flatten().tolist()) for p in policies}) == 4
    method.start(final, scores)
    assert torch.equal(method.decided, policies[2])
    kept = method.artefacts()[0].data["candidates"]
    assert [c["chosen"] for c in kept] == [False, False, True, False]
    assert [c["score"] for c in kept] == [pytest.approx(0.1), None, pytest.approx(0.4), pytest.approx(0.3)]
    assert [c["policy"] for c in kept] == [p.int().tolist() for p in policies]


def test_one_sampled_policy_needs_no_trials() -> None:
    method = make(init="random", select="sample", candidates=1)
    phases = begun(method, Budget(600, EPOCH))
    assert [p.name for p in phases] == [WARMUP, SEARCH, RETRAIN]
    torch.manual_seed(1)
    method.start(phases[-1], {})
    assert not method.decided.all()


def test_blocks_never_opened_execute() -> None:
    method = make(100, init="random", speed=100.0)
    method.start(begun(method, Budget(100, EPOCH))[-1], {})
    assert method.decided[:, :-1].all()


# ----------------------------------------------------------------------------------------------------------- records


def test_history_is_kept_in_the_state() -> None:
    method = make()
    for round_ in range(3):
        searching(method, turn=0, round_=round_)
        method.loss({"depth": torch.ones(2)})
        with torch.no_grad():
            method.policy.logits[..., EXECUTE] += 1.0
    resumed = make()
    resumed.load_state_dict(copy.deepcopy(method.state_dict()))
    history = resumed.artefacts()[0].data["history"]
    assert [line["step"] for line in history] == [120, 125, 130, 300]
    sigmoid = [0.5, 0.7310586, 0.8807970, 0.9525741]
    assert [line["alpha"][2][7] for line in history] == pytest.approx(sigmoid)
    assert [line["open"] for line in history] == [1, 1, 1, 8]
    assert history[1]["temperature"] == pytest.approx(5 * method.schedule.decay)


def test_history_of_a_long_search_keeps_one_of_every_few_rounds() -> None:
    method = make(40000, turns=(8, 2), warmup=0.1, search=0.4)
    assert method.schedule.rounds == 1600
    for round_ in range(1600):
        method.policy.remember(round_, 1600)
    steps = [line["step"] for line in method.artefacts()[0].data["history"]]
    assert steps == sorted(set(steps))
    assert len(steps) == 129
    assert steps[-2] >= 4000 + 1590 * 10


def test_artefact_of_coin_flips_is_undecided() -> None:
    data = make().artefacts()[0].data
    assert data["undecided"] is True
    assert data["entropy"] == 1.0
    assert data["tasks"] == NAMES
    assert (len(data["alpha"]), len(data["alpha"][0])) == (3, 8)


def test_log_tells_where_the_search_stands() -> None:
    assert searching(make(), round_=0).log() == {"alpha": 0.5, "entropy": 1.0, "temperature": 5.0, "open": 1.0}


# ----------------------------------------------------------------------------------------------------- fixed policies


def test_a_fixed_policy_needs_no_search() -> None:
    method = tiny_method("adashare", 2, {"policy": "10111111,11111011"})
    (phase,) = begun(method, Budget(100, EPOCH))
    assert (phase.name, phase.steps, phase.final) == (RETRAIN, 100, True)
    method.start(phase, {})
    assert method.decided.int().tolist() == [[1, 0, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 1, 1]]
    data = method.artefacts()[0].data
    assert data["alpha"] == data["decided"] == [[1, 0, 1, 1, 1, 1, 1, 1], [1, 1, 1, 1, 1, 0, 1, 1]]
    assert (data["undecided"], data["entropy"], data["history"]) == (False, pytest.approx(0, abs=1e-6), [])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "1011"}, "policy '1011' has 1 patterns for 3 tasks"),
        ({"objective": "papers"}, "'papers'; did you mean 'paper'"),
        ({"lambda_sparsty": 1}, "did you mean 'lambda_sparsity'"),
        ({"turns": "weekly"}, "turns"),
        ({"turns": "4,0"}, "turns take 1 to 1,000,000 steps"),
        ({"warmup": 0.5, "search": 0.5}, "leave nothing to retrain"),
        ({"select": "sample", "retrain": "continue"}, "which candidates' trials replace"),
        ({"select": "sample", "warmup": 0.5, "trials": 0.2}, "leave nothing to retrain"),
    ],
)
def test_wrong_options_end_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny_method("adashare", 3, options)


def test_options_parse_from_text() -> None:
    options = parse(AdaShare.Options, {"turns": "400,100"}, "adashare")
    assert options.turns == (400, 100)
