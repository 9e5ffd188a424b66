"""Methods that each break one promise: `breaks` is the check that must find it, `says` what it must say."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from mtlbench.method import Artefact, Group, Method, Phase, Turn


class Sound(Method):
    """Hard sharing with a gain a channel: breaks nothing."""

    name = "sound"
    breaks = ""
    says = ""

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.backbone = build.backbone()
        self.gain = nn.Parameter(torch.ones(self.backbone.channels[-1]))
        self.heads = nn.ModuleDict({t.name: build.head(t, self.backbone.channels[-1]) for t in tasks})

    def shaped(self, values):
        """Values a channel, in the features' number of dimensions."""
        return values.view(-1, *(1 for _ in self.build.architecture.shape[1:])) if self.images else values[:, None]

    @property
    def images(self):
        return len(self.build.architecture.shape) == 3

    def features(self, x):
        return self.backbone(x) * self.shaped(self.gain)

    def forward(self, x, tasks):
        features = self.features(x)
        return {t: self.heads[t](features) for t in tasks}


# --- builds


class Unbuildable(Sound):
    breaks, says = "builds", r"ValueError: out of paint \(broken_methods.py, line \d+\)$"

    def __init__(self, options, build, tasks):
        raise ValueError("out of\npaint")


class Exiting(Sound):
    breaks, says = "builds", r"SystemExit: 3 \(broken_methods.py, line \d+\)$"

    def __init__(self, options, build, tasks):
        raise SystemExit(3)


class WrongSignature(Sound):
    breaks, says = "builds", r"TypeError: .*takes 2 positional arguments but 4 were given"

    def __init__(self, options):
        pass


class NoParameters(Sound):
    breaks, says = "builds", "no parameters"

    def __init__(self, options, build, tasks):
        Method.__init__(self, options, build, tasks)


class OtherTasks(Sound):
    breaks, says = "builds", "self.tasks are not the tasks"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, sorted(tasks, key=lambda t: t.name))


# --- predicts


class Talkative(Sound):
    breaks, says = "predicts", r"also returned 'depth', 'normals' \(in train mode, asked for segmentation\)"

    def forward(self, x, tasks):
        return super().forward(x, [t.name for t in self.tasks])


class Silent(Sound):
    breaks, says = "predicts", "returned nothing for 'depth'"

    def forward(self, x, tasks):
        return super().forward(x, [t for t in tasks if t != "depth"])


class WrongShape(Sound):
    breaks, says = "predicts", r"'normals' has the shape \(3, 2, .*\) \(expected: \(3, 3, h, w\)\)"

    def forward(self, x, tasks):
        return {t: o[:, :2] if t == "normals" else o for t, o in super().forward(x, tasks).items()}


class Infinite(Sound):
    breaks, says = "predicts", r"'depth' is not finite \(in eval mode, asked for"

    def forward(self, x, tasks):
        out = super().forward(x, tasks)
        return {t: o / 0 if t == "depth" and not self.training else o for t, o in out.items()}


class Overwriting(Sound):
    breaks, says = "predicts", "wrote into its input"

    def features(self, x):
        return super().features(x.mul_(2))


# --- tasks, order


class Pairs(Sound):
    breaks, says = "tasks", r"ZeroDivisionError: .* with 1 task \(broken_methods.py, line \d+\)"

    def features(self, x):
        return super().features(x) * (1 / (len(self.tasks) - 1))


class Company(Sound):
    breaks, says = (
        "order",
        r"'segmentation' differs by .* between asked for segmentation, normals, depth and for segmentation",
    )

    def forward(self, x, tasks):
        return {t: o * len(tasks) for t, o in super().forward(x, tasks).items()}


class Queue(Sound):
    breaks, says = "order", "differs by .* and for depth, normals, segmentation"

    def forward(self, x, tasks):
        return {t: o * (1 + place) for place, (t, o) in enumerate(super().forward(x, tasks).items())}


class FirstIsWide(Sound):
    breaks, says = "order", "parameters for segmentation, normals, depth and .* for these tasks in reverse"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.more = nn.Parameter(torch.ones(tasks[0].channels))

    def features(self, x):
        return super().features(x) * self.more.mean()


# --- evaluates


class Neighbours(Sound):
    breaks, says = "evaluates", "differs by .* between a batch of 3 and its images one by one"

    def features(self, x):
        x = super().features(x)
        return x - 0.1 * x.mean(0, keepdim=True)


class Noisy(Sound):
    breaks, says = "evaluates", "draws random numbers; 'segmentation' differs by .* between one eval pass and the next"

    def features(self, x):
        x = super().features(x)
        return x + torch.rand_like(x)


class NumpyNoise(Sound):
    breaks, says = "evaluates", "draws random numbers"

    def features(self, x):
        np.random.rand()
        return super().features(x)


class Counting(Sound):
    breaks, says = "evaluates", "eval mode changed 'calls'"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.register_buffer("calls", torch.zeros(()), persistent=False)

    def features(self, x):
        self.calls += 1
        return super().features(x)


# --- gradients


class DeadUnit(Sound):
    breaks, says = "gradients", r"'unit' \(3, 3\) gets no gradient in any phase"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.unit = nn.Parameter(torch.ones(len(tasks), len(tasks)))

    def features(self, x):
        return super().features(x) * (self.unit / self.unit.detach()).detach().mean()


class DeadChannels(Sound):
    breaks, says = "gradients", r"'gain' \(32,\) gets no gradient in element 30, 31 \(2 of 32\)"

    def features(self, x):
        gain = torch.cat([self.gain[:-2], self.gain[-2:].detach()])
        return self.backbone(x) * self.shaped(gain)


class DeadInputs(Sound):
    breaks, says = "gradients", r"'mix.weight' \(32, 32, 1, 1\) gets no gradient in input channel 0, 1, 2 \(3 of 32\)"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        width = self.backbone.channels[-1]
        self.mix = build.module("mix", lambda: nn.Conv2d(width, width, 1, bias=False))

    def features(self, x):
        x = super().features(x)
        return x + self.mix(torch.cat([torch.zeros_like(x[:, :3]), x[:, 3:]], 1))


class BiasBeforeNorm(Sound):
    breaks, says = "gradients", r"'last.0.bias' \(32,\) gets no gradient"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        width = self.backbone.channels[-1]
        self.last = build.module("last", lambda: nn.Sequential(nn.Conv2d(width, width, 1), build.norm(width)))

    def features(self, x):
        return self.last(super().features(x))


class NoTurn(Sound):
    breaks, says = "gradients", "'gain' .* gets no gradient in any phase"

    def phases(self, budget):
        return (Phase("train", budget.steps, (Turn((Group("backbone"), Group("heads"))),), final=True),)


# --- turns


class Wandering(Sound):
    breaks, says = "turns", r"'gain' moved at step 0 outside its turn \(phase 'heads', turn 0, which moves heads\)"

    def phases(self, budget):
        last = budget.steps // 2
        heads = Phase("heads", budget.steps - last, (Turn((Group("heads"),)),), final=last == 0)
        return (heads, Phase("all", last, final=True)) if last else (heads,)

    def features(self, x):
        if self.training:
            with torch.no_grad():
                self.gain.mul_(0.99)
        return super().features(x)


class Replacing(Sound):
    breaks, says = "turns", "'gain' was replaced in training"

    def start(self, phase, scores):
        self.gain = nn.Parameter(self.gain.detach().clone())


class Late(Sound):
    breaks, says = "turns", "'more' was added in training"

    def features(self, x):
        if not hasattr(self, "more"):
            self.more = nn.Parameter(torch.ones(()))
        return super().features(x) * self.more


# --- learns, seeds, resumes


class Ascending(Sound):
    breaks, says = "learns", "the loss of 'segmentation' on one batch is .* at first and .* after 30 steps"

    def loss(self, losses):
        return -super().loss(losses)


class Unseeded(Sound):
    breaks, says = "seeds", "'mix' differs between two builds of one seed: make it by build.module"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.mix = nn.Parameter(torch.rand(self.backbone.channels[-1]))

    def features(self, x):
        return super().features(x) * self.shaped(self.mix)


class Dicing(Sound):
    breaks, says = "seeds", "the loss 'segmentation' at step 0 is .* in one run and .* in another of the same seed"

    def features(self, x):
        return super().features(x) * (random.random() if self.training else 1.0)


class Ageing(Sound):
    breaks, says = "resumes", "ends differently in a run that was interrupted after step"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.age = 0

    def features(self, x):
        self.age += self.training
        return super().features(x) / (1 + 0.1 * self.age) if self.training else super().features(x)


# --- state


class Secretive(Sound):
    breaks, says = "state", "'segmentation' differs by .* between the trained method and what a fresh one that loaded"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.level = 1.0

    def features(self, x):
        self.level *= 0.99 if self.training else 1.0
        return super().features(x) * self.level


class Extra(Sound):
    breaks, says = "state", "'_extra_state' in state_dict is dict"

    def get_extra_state(self):
        return {"level": 1}

    def set_extra_state(self, state):
        pass


# --- deployed


class Swapped(Sound):
    breaks, says = "deployed", r"'depth' differs by .* between the trained network and deployed\(\)"

    def deployed(self):
        made = Deployed(self)
        made.factor = 1.001
        return made


class Deployed(nn.Module):
    """A network apart from the method that shares its parts."""

    factor = 1.0

    def __init__(self, method):
        super().__init__()
        self.backbone, self.gain, self.heads, self.shaped = method.backbone, method.gain, method.heads, method.shaped

    def forward(self, x, tasks):
        x = self.backbone(x) * self.shaped(self.gain)
        return {t: self.heads[t](x) * (self.factor if t == "depth" else 1.0) for t in tasks}


class Freezing(Sound):
    breaks, says = "deployed", "'backbone.*' is left in another mode"

    def deployed(self):
        return Deployed(self).eval()


class Shrinking(Sound):
    breaks, says = "deployed", r"deployed\(\) changed 'gain' of the method"

    def deployed(self):
        with torch.no_grad():
            self.gain.mul_(0.5)
        return self


class Unpicky(Sound):
    breaks, says = "deployed", r"deployed\(\) returned segmentation, normals, depth \(asked for segmentation\)"

    def deployed(self):
        return Everything(self)


class Everything(nn.Module):
    def __init__(self, method):
        super().__init__()
        self.method = method

    def forward(self, x, tasks):
        return self.method(x, [t.name for t in self.method.tasks])


# --- costs


class Wasteful(Sound):
    breaks, says = (
        "costs",
        "'segmentation' alone takes .* multiply-adds, .*: forward computes more than it is asked for",
    )

    def forward(self, x, tasks):
        everything = super().forward(x, [t.name for t in self.tasks])
        return {t: everything[t] for t in tasks}


class Repeating(Sound):
    breaks, says = "costs", "all tasks together take .* multiply-adds, in passes of their own"

    def forward(self, x, tasks):
        out = {}
        for _ in tasks:
            out = super().forward(x, tasks)
        return out


class Hoarding(Sound):
    breaks, says = "costs", r"holds 'spare', which no output depends on"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.spare = nn.Parameter(torch.ones(3))


class Hiding(Sound):
    breaks, says = "costs", r"uses a parameter \(.*\) that it does not hold: it would not be counted"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.hidden = [build.backbone("hidden").double()]

    def features(self, x):
        hidden = self.hidden[0].to(x.dtype).eval()
        return super().features(x) + hidden(x)


# --- phases


class Overspending(Sound):
    breaks, says = "phases", r"phases take 2 steps, the budget is 1 \(budget of 1 steps\)"

    def phases(self, budget):
        return (Phase("train", budget.steps + 1, final=True),)


class Endless(Sound):
    breaks, says = "phases", r"no final phase with a step: .* \(budget of 1 steps\)"

    def phases(self, budget):
        return (Phase("train", budget.steps),)


class Namesakes(Sound):
    breaks, says = "phases", "phases share a name: train, train"

    def phases(self, budget):
        half = Phase("train", budget.steps // 2)
        return (half, replace(half, final=True, steps=budget.steps - half.steps))


class Misspelt(Sound):
    breaks, says = "phases", "unknown parameter group prefix 'head'; did you mean 'heads'?"

    def phases(self, budget):
        return (Phase("train", budget.steps, (Turn((Group("head"), Group(""))),), final=True),)


class Stale(Sound):
    breaks, says = "phases", "unknown fresh prefix of phase 'train' 'backbones'; did you mean 'backbone'"

    def phases(self, budget):
        return (Phase("train", budget.steps, fresh=("backbones",), final=True),)


class Elsewhen(Sound):
    breaks, says = "phases", "unknown part of the data 'val'"

    def phases(self, budget):
        return (Phase("train", budget.steps, (Turn(part="val"),), final=True),)


class Growing(Sound):
    breaks, says = "phases", r"phases differ when they are asked for again \(budget of 100 steps\)"
    asked = 0

    def phases(self, budget):
        self.asked += 1
        return (Phase("train", max(1, budget.steps - self.asked), final=True),)


class Planless(Sound):
    breaks, says = "phases", r"KeyError: 'test' \(broken_methods.py, line \d+\)"

    def phases(self, budget):
        return (Phase("train", budget.epoch["test"], final=True),)


# --- records


class TensorLog(Sound):
    breaks, says = "records", r"log\(\)'s 'gain' is Tensor at step 0"

    def log(self):
        return {"gain": self.gain.mean()}


class NaNLog(Sound):
    breaks, says = "records", r"log\(\)'s 'level' is nan at step 0"

    def log(self):
        return {"level": math.nan}


class BrokenLog(Sound):
    breaks, says = "records", r"KeyError: 'level' \(broken_methods.py, line \d+\)"

    def log(self):
        return {"level": {}["level"]}


class TensorArtefact(Sound):
    breaks, says = "records", "artefact 'gain' is no JSON: Object of type .* is not JSON serializable"

    def artefacts(self):
        return (Artefact("gain", {"gain": self.gain}),)


class Twins(Sound):
    breaks, says = "records", "two artefacts are called 'gain'"

    def artefacts(self):
        return (Artefact("gain"), Artefact("gain"))


# --- devices


class CPUTensor(Sound):
    breaks, says = (
        "devices",
        r"mul mixes the network's tensors with one on the CPU, of shape \(32,\).* \(broken_methods.py",
    )

    def features(self, x):
        return self.backbone(x) * self.shaped(self.gain * torch.ones(len(self.gain)))


class Attribute(Sound):
    breaks, says = "devices", r"mixes the network's tensors with one on the CPU, of shape \(32, 1, 1\)"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.table = torch.ones(self.backbone.channels[-1], 1, 1)

    def features(self, x):
        return super().features(x) * self.table


class Homecoming(Sound):
    breaks, says = "devices", "'depth' lies on the cpu in phase 'train'"

    def forward(self, x, tasks):
        return {t: o.cpu() if t == "depth" else o for t, o in super().forward(x, tasks).items()}


class NumpyFeatures(Sound):
    breaks, says = "devices", "can't convert an accelerator's tensor to numpy"

    def features(self, x):
        return super().features(x) * float(self.gain.detach().numpy().mean())


class CPUGenerator(Sound):
    breaks, says = "devices", "draws on the network's device with a generator of the CPU"

    def features(self, x):
        x = super().features(x)
        return x + torch.rand(x.shape, generator=torch.Generator().manual_seed(0), device=x.device)


# --- streams, backbones


class SharedNorm(Sound):
    breaks, says = "streams", "the batch norm 'norm' mixes the statistics of art, photo, sketch: make it by build.norm"

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        self.norm = (nn.BatchNorm2d if self.images else nn.BatchNorm1d)(self.backbone.channels[-1])

    def features(self, x):
        return self.norm(super().features(x))


class Together(Sound):
    breaks, says = "streams", r"AssertionError: all at once \(broken_methods.py, line \d+\)"

    def forward(self, x, tasks):
        assert len(tasks) == len(self.tasks), "all at once"
        return super().forward(x, tasks)


class MapsOnly(Sound):
    breaks, says = "backbones", r"IndexError: Dimension out of range .* on vdcnn9 \(broken_methods.py, line \d+\)"

    def features(self, x):
        x = super().features(x)
        return x * x.mean((2, 3), keepdim=True).sigmoid()


class EighteenOnly(Sound):
    breaks, says = "backbones", r"RuntimeError: .* on resnet50 \(broken_methods.py, line \d+\)"

    def features(self, x):
        return super().features(x) * self.shaped(torch.ones(32, device=x.device))


class PicturesAndTexts(Sound):
    breaks, says = "backbones", r"RuntimeError: one_hot .* on resmlp \(broken_methods.py, line \d+\)"

    def forward(self, x, tasks):
        if not self.images:
            nn.functional.one_hot(x)  # what is no picture is taken for characters
        return super().forward(x, tasks)


BROKEN = [c for c in Sound.__subclasses__() if c.breaks]
