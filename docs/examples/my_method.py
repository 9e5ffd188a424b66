"""A method of one's own: the first stages of the network are shared, each task has its own copy of the last ones."""

from torch import nn

from mtlbench.method import Group, Method, Options, Phase, Turn


class BranchOptions(Options):
    private: int = 1  # how many of the last stages each task has to itself
    head_lr: float = 1.0  # times the study's learning rate


class Branches(Method):
    """A shared trunk, and a branch a task."""

    name = "branches"
    Options = BranchOptions

    def __init__(self, options, build, tasks):
        super().__init__(options, build, tasks)
        trunk = build.backbone()
        self.split = len(trunk.stages) - options.private
        self.stem, self.shared = trunk.stem, trunk.stages[: self.split]
        self.branches = nn.ModuleDict({t.name: build.backbone().stages[self.split :] for t in tasks})
        self.heads = nn.ModuleDict({t.name: build.head(t, trunk.channels[-1]) for t in tasks})

    def forward(self, x, tasks):
        x = nn.Sequential(self.stem, *self.shared)(x)  # computed once for all tasks
        return {t: self.heads[t](nn.Sequential(*self.branches[t])(x)) for t in tasks}

    def phases(self, budget):
        groups = (Group(""), Group("heads", lr=self.options.head_lr))
        return (Phase("train", budget.steps, turns=(Turn(groups),), final=True),)
