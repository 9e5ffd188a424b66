"""Task weights against their formulas."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build, Head
from mtlbench.backbones.resnet import resnet18
from mtlbench.config import RunConfig
from mtlbench.errors import PluginError
from mtlbench.method import Budget, Group, Method, Phase, Turn
from mtlbench.tasks import Task
from mtlbench.training.loop import Hooks, Trainer
from mtlbench.training.optimisers import TurnOptimizer
from mtlbench.training.plan import make_plan
from mtlbench.training.weighting import make_weighting
from tests.helpers.command import ROOT

Discs = plugins.load("datasets", f"{Path(__file__).resolve().parents[2]}/docs/examples/my_dataset.py:Discs")
TASKS = (Task("s", "segmentation", 4), Task("d", "depth", 1))
LAMBDAS = {"s": 1.0, "d": 3.0}


def test_fixed_and_equal():
    shares = torch.tensor([0.25, 0.75])
    fixed, equal = (make_weighting(n, TASKS, LAMBDAS) for n in ("fixed", "equal"))
    assert fixed.weight("d", shares).tolist() == [0.75, 2.25]
    assert equal.weight("d", shares).tolist() == [0.25, 0.75]
    assert not list(fixed.parameters())


def test_uncertainty_is_kendalls_and_its_optimum_is_the_loss_itself():
    weighting = make_weighting("uncertainty", TASKS, LAMBDAS)
    with torch.no_grad():
        weighting.log_variance.copy_(torch.tensor([0.4, -0.6]))
    shares = torch.tensor([0.5, 1.5])  # a loss of 2
    assert weighting.weight("s", shares).sum().item() == pytest.approx(2 * math.exp(-0.4) + 0.2)
    assert weighting.weight("d", shares).sum().item() == pytest.approx(0.5 * 2 * math.exp(0.6) - 0.3)
    with torch.no_grad():  # d/ds of 0.5 exp(-s) L + s/2 is zero where exp(s) = L
        weighting.log_variance.fill_(math.log(2.0))
    weighting.weight("d", shares).sum().backward()
    assert float(weighting.log_variance.grad[1]) == pytest.approx(0, abs=1e-6)


def test_dwa_by_hand():
    weighting = make_weighting("dwa", TASKS, LAMBDAS)
    losses = {0: (4.0, 1.0), 1: (2.0, 1.0), 2: (1.0, 1.0)}  # epoch -> (s, d), two steps each
    used = {}
    for epoch in range(4):
        for step in range(2):
            used[epoch, step] = weighting.lambdas.tolist()
            s, d = losses.get(epoch, (1.0, 1.0))
            weighting.observe({"s": torch.tensor(s + step), "d": torch.tensor(d - 0.5 * step)}, 2)
    assert used[0, 0] == used[0, 1] == used[1, 0] == used[1, 1] == [1.0, 1.0]
    ratios = torch.tensor([2.5 / 4.5, 0.75 / 0.75])  # means of epochs 1 and 0
    expected = 2 * torch.softmax(ratios / 2.0, 0)
    assert used[2, 0] == used[2, 1] == pytest.approx(expected.tolist())  # from the epoch's first step on
    assert used[2, 0][0] < 1 < used[2, 0][1]  # the task whose loss falls faster weighs less
    assert sum(used[3, 0]) == pytest.approx(2.0)
    weighting.restart()
    assert weighting.lambdas.tolist() == [1.0, 1.0]
    assert not weighting.counts.any() and not weighting.means.any()


def test_dwa_takes_the_mean_of_the_steps_with_labels():
    """A third of the batches has none of depth: its mean is that of the others, and its weight as if they were not there."""
    weighting = make_weighting("dwa", TASKS, LAMBDAS)
    depth = [4.0, 0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    for step, loss in enumerate(depth):
        weighting.observe({"s": torch.tensor(1.0), "d": torch.tensor(loss)}, 3)
        if step == 5:  # means 3 and 3: no change of either
            assert weighting.means.tolist() == [[1.0, 3.0], [1.0, 3.0]]
            assert weighting.lambdas.tolist() == [1.0, 1.0]
    assert weighting.lambdas.tolist() == [1.0, 1.0]  # an epoch without labels: its last mean stands


def test_uncertainty_learns_from_batches_with_labels_alone():
    """Half of the batches have no label of depth: s still ends where exp(s) is the loss of those that have."""
    weighting = make_weighting("uncertainty", TASKS, LAMBDAS)
    moving = torch.optim.Adam(weighting.parameters(), 0.02)
    for step in range(600):
        moving.zero_grad()
        weighting.weight("d", torch.full((2,), 0.1 * (step % 2))).sum().backward()
        moving.step()
    assert float(weighting.log_variance.detach()[1].exp()) == pytest.approx(0.2, rel=0.02)
    assert float(weighting.weight("d", torch.zeros(2)).detach().sum()) == 0


def test_dwa_state_survives_a_round_trip():
    one, other = (make_weighting("dwa", TASKS, LAMBDAS) for _ in range(2))
    for step in range(5):
        one.observe({"s": torch.tensor(3.0 - step / 2), "d": torch.tensor(1.0)}, 2)
    other.load_state_dict(one.state_dict())
    for weighting in (one, other):
        weighting.observe({"s": torch.tensor(1.0), "d": torch.tensor(1.0)}, 2)
    assert torch.equal(one.lambdas, other.lambdas)


class Turning(Method):
    """Heads and logits in turns of one step each, as searches do."""

    name = "turning"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.backbone = build.backbone()
        self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})
        self.logits = nn.Parameter(torch.zeros(()))

    def forward(self, x, tasks):
        features = self.backbone(x) * (1 + self.logits)
        return {t: self.heads[t](features) for t in tasks}

    def phases(self, budget):
        weights = (Group("backbone"), Group("heads"))
        turns = (Turn(weights, "train-a", steps=1), Turn((Group("logits"),), "train-b", steps=1))
        return (Phase("search", budget.steps, turns=turns, final=True),)


def trained(weighting, kind, steps, phases=None, **changes):
    """A trainer on 20 images and the weights of every step that trained heads."""
    named = {"method": kind.name, "dataset": "discs", "tasks": ("disc", "distance"), "weighting": weighting}
    config = RunConfig(**named, steps=steps, width=0.125, head=8, batch_size=2, evaluations=1, **changes)
    dataset = Discs(Discs.Options(images=20), None, None)
    build = Build(
        Architecture("resnet18", dataset.shape, config.width, config.head), resnet18, 0, tuple(dataset.streams)
    )
    method = kind(kind.Options(), build, dataset.tasks)
    hooks = Hooks(lambda *_: None, lambda *_: 0.0, lambda: None)
    made = make_weighting(weighting, dataset.tasks, {})
    used, step = [], made.observe

    def observe(losses, epoch):
        used.append(made.lambdas.tolist())
        step(losses, epoch)

    made.observe = observe
    phases = phases or method.phases(Budget(steps, {}))
    trainer = Trainer(method, made, dataset, config, phases, lambda: method.state_dict(), "cpu", hooks)
    trainer.run()
    return trainer, used


def test_dwa_counts_its_epochs_over_turns_and_begins_anew_with_a_phase():
    trainer, used = trained("dwa", Turning, 60)
    epoch = trainer._epoch(trainer.plan[0])
    assert len(used) == 30 > 3 * epoch  # the turns of the logits are not its own
    assert [w == [1.0, 1.0] for w in used] == [i < 2 * epoch for i in range(30)]
    two = tuple(Phase(n, 30, turns=(Turn(steps=10),), final=True) for n in "ab")
    trainer, used = trained("dwa", Turning, 60, two)
    epoch = trainer._epoch(trainer.plan[0])
    assert [w == [1.0, 1.0] for w in used] == [i % 30 < 2 * epoch for i in range(60)]


@pytest.mark.parametrize(("steps", "optimizer"), [(300, "adamw"), (60, "adamw"), (300, "sgd")])
def test_uncertainty_arrives_at_the_weight_of_a_constant_loss(steps, optimizer):
    weighting = make_weighting("uncertainty", TASKS, LAMBDAS)
    head = nn.ModuleDict({"head": Head()})
    head["head"].linear = nn.Linear(1, 1)
    config = RunConfig(method="x", tasks=("s", "d"), steps=steps, optimizer=optimizer, lr=3e-3)
    (segment,) = make_plan((Phase("train", steps, final=True),))
    moving = TurnOptimizer(segment.turn, head, weighting, config)
    for step in range(steps):
        moving.set_rate(segment, step)
        sum(weighting.weight(t, torch.tensor([0.1, 0.1])).sum() for t in "sd").backward()
        moving.torch.step()
        moving.torch.zero_grad()
    best = torch.tensor([0.4, 0.2])  # exp(-s) L + s/2 is least where exp(s) = 2 L, half of that loss where exp(s) = L
    assert torch.exp(-weighting.log_variance).tolist() == pytest.approx((1 / best).tolist(), rel=0.1)


def test_random_weights_are_a_softmax_of_the_steps_own_draw():
    weighting, losses = make_weighting("random", TASKS, LAMBDAS), {"s": torch.tensor([1.0, 2.0]), "d": torch.ones(2)}
    torch.manual_seed(3)
    drawn = 2 * torch.softmax(torch.randn(2), 0)
    torch.manual_seed(3)
    found = weighting.weighted(losses)
    assert torch.equal(found["s"], losses["s"] * drawn[0]) and torch.equal(found["d"], losses["d"] * drawn[1])
    means = torch.stack([(weighting.weighted(losses), weighting.lambdas.clone())[1] for _ in range(4000)]).mean(0)
    assert means.tolist() == pytest.approx([1, 1], abs=0.05)


def test_the_geometric_loss_and_its_gradient():
    x = torch.tensor([0.3, 1.2, 2.5], dtype=torch.float64, requires_grad=True)
    weighting = make_weighting("geometric", (*TASKS, Task("e", "edges", 1)), LAMBDAS)

    def losses():
        return {"s": torch.stack([x[0] ** 2, x[1]]), "d": torch.stack([x[1] * x[2], x[0]]), "e": x[2:] ** 3}

    total = sum(own.sum() for own in weighting.weighted(losses()).values())
    truth = torch.stack([own.sum() for own in losses().values()]).prod() ** (1 / 3)
    assert total.item() == pytest.approx(truth.item(), rel=1e-12)
    found, expected = (torch.autograd.grad(value, x)[0] for value in (total, truth))
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_a_task_without_a_label_takes_no_part_in_the_geometric_mean():
    weighting = make_weighting("geometric", TASKS, LAMBDAS)
    found = weighting.weighted({"s": torch.tensor([3.0, 1.0]), "d": torch.zeros(2)})
    assert found["s"].tolist() == [3.0, 1.0] and found["d"].tolist() == [0.0, 0.0]


OWN = """
from mtlbench.training.weighting import Weighting

class Halved(Weighting):
    name = "halved"

    def weight(self, task, losses):
        return 0.5 * super().weight(task, losses)
"""


def test_a_users_weighting_from_a_file_is_part_of_the_run(tmp_path):
    from mtlbench import records
    from mtlbench.runs import runner
    from mtlbench.study import study
    from mtlbench.study.settings import gather

    discs = f"{Path(__file__).resolve().parents[2]}/docs/examples/my_dataset.py:Discs"
    given = {"methods": "hard-sharing", "dataset": discs, "device": "cpu", "steps": 2, "batch_size": 2}
    given |= {"set": ["discs.images=16", "run.width=0.0625"], "out": str(tmp_path)}
    folders = []
    for text in (OWN, OWN.replace("0.5", "0.25")):
        (tmp_path / "own.py").write_text(text)
        (request,) = study.runs(study.resolve(gather(given | {"weighting": f"{tmp_path}/own.py:Halved"})))
        assert request.config.weighting == "halved"
        outcome = runner.execute(request)
        assert outcome.status == "finished", outcome.reason
        assert records.read_run(outcome.folder).start.config["weighting"] == "halved"
        folders.append(outcome.folder)
    assert folders[0] != folders[1]  # another file is another run
    plain = gather(given | {"weighting": f"{discs.partition(':')[0]}:Discs"})
    with pytest.raises(PluginError, match=r"is not a weighting \(a subclass of mtlbench.training.weighting.Weighting"):
        study.resolve(plain)


def test_the_example_of_a_weighting_by_hand_and_in_training():
    spec = f"{ROOT}/docs/examples/my_weighting.py:Lagging"
    weighting = make_weighting(spec, TASKS, LAMBDAS)
    names = [t.name for t in TASKS]
    first, now = ({n: torch.tensor(float(x + 1)) for x, n in enumerate(names)} for _ in range(2))
    now[names[0]] = torch.tensor(0.25)
    for losses in (first, now):
        weighting.observe(losses, 1)
    share = np.exp([0.25] + [1.0] * (len(names) - 1))
    assert weighting.lambdas.tolist() == pytest.approx(list(len(names) * share / share.sum()))
    weighting.restart()
    assert weighting.lambdas.tolist() == [1.0] * len(names)
    _, used = trained(spec, Turning, 8)
    assert len(used) == 4 and used[0] == [1.0, 1.0] and used[-1] != [1.0, 1.0]
