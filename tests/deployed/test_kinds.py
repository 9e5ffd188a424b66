"""Every registered kind through training, evaluation, its constant predictor and its samples, in one small network."""

import math

import numpy as np
import torch

from mtlbench import plugins
from mtlbench.backbones import Architecture, Build
from mtlbench.checks.tiny import Tiny, tiny
from mtlbench.deployed import samples
from mtlbench.deployed.evaluation import evaluate, evaluate_constant
from mtlbench.deployed.network import DeployedNetwork
from mtlbench.records import TaskInfo
from mtlbench.report.reading.samples import load
from mtlbench.tasks import Task
from mtlbench.tasks.losses import task_loss

TASKS = tuple(Task(n, n, Task(n, n, 1).meaning.channels or 3) for n in plugins.names("kinds"))


def test_every_kind_is_trained_measured_and_shown(tmp_path):
    data = Tiny(TASKS)
    kind = plugins.load("methods", "hard-sharing")
    torch.manual_seed(0)
    build = Build(Architecture("tiny", data.shape, 0.0625, 8), tiny, 0, tuple(data.streams))
    method = kind(kind.Options(), build, TASKS)
    names = [t.name for t in TASKS]
    optimizer = torch.optim.Adam(method.parameters(), 1e-2)

    def step():
        batch = data.load("train", "all", range(8))
        outputs = method(batch.inputs, names)
        losses = {t.name: task_loss(t, outputs[t.name], batch.targets[t.name]) for t in TASKS}
        optimizer.zero_grad()
        sum(loss.sum() for loss in losses.values()).backward()
        optimizer.step()
        return {name: float(loss.sum().detach()) for name, loss in losses.items()}

    first, *_, last = (step() for _ in range(6))
    assert sum(last.values()) < sum(first.values())
    network = DeployedNetwork.of(method, data.streams, data.shape)
    found, constant = evaluate(network, data, "test", 4), evaluate_constant(data, ("test",), 4)["test"]
    for task in TASKS:
        metrics = {m.name for m in task.metrics}
        assert found.metrics[task.name].keys() == constant.metrics[task.name].keys() == metrics
        assert math.isfinite(found.metrics[task.name][task.primary.name])
        assert math.isfinite(found.losses[task.name])
    kept = samples.collect(network, data)
    np.savez_compressed(tmp_path / "gallery.npz", **kept)
    said = {
        t.name: TaskInfo(name=t.name, kind=t.kind, channels=t.channels, view=t.meaning.view, metrics=[]) for t in TASKS
    }
    assert load(tmp_path / "gallery.npz", said).keys() == said.keys()
