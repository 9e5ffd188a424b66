"""A network that is not finite is never finished with a score: its run says what is not finite, and where."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
import torch

from mtlbench.records import read_run
from mtlbench.runs import runner
from mtlbench.training.loop import Trainer
from mtlbench.training.soundness import Soundness
from tests.runs.test_runner import request

METHODS = """
import torch
from baselines.hard_sharing import HardSharing
from mtlbench.method import Optimizer, Phase, Turn

class Leap(HardSharing):
    name = "leap"
    anchor = None
    def phases(self, budget):
        return (Phase("train", 1, (Turn(optimizer=Optimizer("sgd", 1e38, schedule="constant")),), final=True),)

class Steep(HardSharing):
    name = "steep"
    anchor = None
    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.gate = torch.nn.Parameter(torch.ones(()))
    def loss(self, losses):
        total = super().loss(losses)
        if self.where.step == 11:  # the last: the loss is as it was, its gradient is infinite
            total = total + torch.sqrt(self.gate - self.gate.detach())
        return total

class Blind(HardSharing):
    name = "blind"
    anchor = None
    def forward(self, x, tasks):
        bad = 0.0 if self.training else float("nan")
        return {t: p + bad if t == "segmentation" else p for t, p in super().forward(x, tasks).items()}

class Huge(HardSharing):
    name = "huge"
    anchor = None
    def forward(self, x, tasks):
        scale = 1.0 if self.training else 3e38
        return {t: p.sign() * scale if t == "segmentation" else p for t, p in super().forward(x, tasks).items()}
"""

CASES = {
    "Leap": r"(value|output) of .* is not finite (on val, )?after step 1 \(phase 'train'\)",
    "Steep": r"value of gate is not finite after step 12 \(phase 'train'\)",
    "Blind": r"output of segmentation is not finite on val, after step 6 \(phase 'train'\)",
    "Huge": r"loss of segmentation is not finite on val, after step 6 \(phase 'train'\)",
}


@pytest.mark.parametrize("cls", CASES)
def test_what_no_training_loss_shows(tmp_path: Path, cls: str) -> None:
    (tmp_path / "mine.py").write_text(METHODS)
    outcome = runner.execute(request(tmp_path, cls.lower(), spec=f"{tmp_path / 'mine.py'}:{cls}"))
    run = read_run(outcome.folder)
    assert run.end is not None
    assert outcome.status == run.status == "diverged"
    assert re.fullmatch(CASES[cls], run.end.reason), run.end.reason
    assert run.final("val") is None
    assert run.final("test") is None


POISONED = [  # method, the tensor that becomes NaN, after which step, further settings, and where that is said
    ("hard-sharing", "backbone.stem.1.running_var", 12, {}, "after step 12 (phase 'train')"),
    ("hard-sharing", "backbone.stem.1.running_mean", 6, {}, "after step 6 (phase 'train')"),  # a validation half-way
    ("hard-sharing", "backbone.stem.1.running_mean", 6, {"selection": "best-val"}, "after step 6 (phase 'train')"),
    ("adashare", "policy.logits", 10, {"steps": 20}, "after step 10 (phase 'policy')"),
    ("adashare", "heads.depth.branches.0.0.weight", 20, {"steps": 20}, "after step 20 (phase 'retrain')"),
]


@pytest.mark.parametrize(("method", "name", "after", "settings", "place"), POISONED)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_every_tensor_of_every_phase_is_looked_at(tmp_path, monkeypatch, method, name, after, settings, place, value):
    original = Trainer._step

    def poisoned(self, segment, optimizer, step):
        original(self, segment, optimizer, step)
        if step + 1 == after:
            (tensor,) = [v for n, v in self.method.state_dict().items() if n.startswith(name)]
            tensor[(-1,) * tensor.ndim] = value

    monkeypatch.setattr(Trainer, "_step", poisoned)
    outcome = runner.execute(request(tmp_path, method, **settings))
    assert outcome.status == "diverged"
    assert outcome.reason.startswith(f"value of {name}")
    assert outcome.reason.endswith(f"is not finite {place}")


def test_a_weighting_that_is_not_finite(tmp_path, monkeypatch):
    original = Trainer._step

    def poisoned(self, segment, optimizer, step):
        original(self, segment, optimizer, step)
        if step + 1 == 12:
            self.weighting.log_variance.data[0] = math.nan

    monkeypatch.setattr(Trainer, "_step", poisoned)
    outcome = runner.execute(request(tmp_path, weighting="uncertainty"))
    assert (outcome.status, outcome.reason) == (
        "diverged",
        "value of weighting.log_variance is not finite after step 12 (phase 'train')",
    )


def test_an_infinity_from_the_beginning_may_stay_but_not_a_nan():
    module = torch.nn.Module()
    module.register_buffer("scores", torch.tensor([-math.inf, -math.inf]))
    module.register_buffer("count", torch.zeros(2))
    sound = Soundness({"": module})
    module.scores[0] = 1.0
    assert sound.faults() == []
    module.scores[0] = math.nan
    module.count[1] = math.inf
    assert sound.faults() == ["scores", "count"]
