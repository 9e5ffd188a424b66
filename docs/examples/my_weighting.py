"""A weighting of one's own: tasks are weighted by how far each still is from where it began."""

import torch

from mtlbench import Weighting


class Lagging(Weighting):
    """T softmax(loss now / loss at first): the task that has come least far weighs most."""

    name = "lagging"

    def __init__(self, tasks, weights):
        super().__init__(tasks, {})
        self.register_buffer("first", torch.zeros(len(tasks)))  # of this phase; 0 until it is known

    def restart(self):  # a phase begins
        self.first.zero_()
        self.lambdas.fill_(1.0)

    def observe(self, losses, epoch):  # after every step that trains heads: a scalar a task
        now = torch.stack([losses[task.name] for task in self.tasks])
        self.first.copy_(torch.where(self.first > 0, self.first, now))
        share = torch.where(self.first > 0, now / self.first, 1.0)
        self.lambdas.copy_(len(self.tasks) * torch.softmax(share, 0))
