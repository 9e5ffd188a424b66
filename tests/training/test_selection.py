"""Which validation is deployed, by the scores that a training run sees."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build
from mtlbench.backbones.resnet import resnet18
from mtlbench.config import RunConfig
from mtlbench.method import Budget
from mtlbench.training.loop import Hooks, Trainer
from mtlbench.training.weighting import make_weighting

DISCS = plugins.load("datasets", f"{Path(__file__).resolve().parents[2]}/docs/examples/my_dataset.py:Discs")
NONE = math.nan  # no task has a score: the constant predictor is without error in all


@pytest.mark.parametrize(
    ("scores", "step"),
    [
        ([0.1, 0.3, 0.2, 0.3], 2),  # the earlier of equal ones
        ([NONE] * 4, 4),  # nothing to choose by: the last
        ([NONE, -2.0, -1.0, -3.0], 3),
        ([-math.inf, -2.0, -3.0, NONE], 2),
    ],
)
def test_best_val_deploys_the_highest_score_and_the_last_step_where_there_is_none(
    scores: list[float], step: int
) -> None:
    config = RunConfig(method="hard-sharing", dataset="discs", tasks=("disc", "distance"), steps=4, width=0.125, head=8,
                       batch_size=2, evaluations=4, selection="best-val")  # fmt: skip
    data = DISCS(DISCS.Options(images=20), None, None)
    build = Build(Architecture("resnet18", data.shape, 0.125, 8), resnet18, 0, tuple(data.streams))
    cls = plugins.load("methods", "hard-sharing")
    method, left = cls(cls.Options(), build, data.tasks), iter(scores)
    hooks = Hooks(lambda *_: None, lambda *_: next(left), lambda: None)
    weighting = make_weighting("fixed", data.tasks, {})
    phases = method.phases(Budget(4, {}))
    trainer = Trainer(method, weighting, data, config, phases, method.state_dict, "cpu", hooks)
    trainer.run()
    assert trainer.selected is not None and trainer.selected.where.step + 1 == step
