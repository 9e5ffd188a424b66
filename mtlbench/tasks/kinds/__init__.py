"""The kinds of tasks, one a file, and what most of them have in common. Loads torch."""

from mtlbench.tasks.kinds.base import Classes, Values, per_image
from mtlbench.tasks.kinds.constants import Majority, Mean, MeanDirection, Median

__all__ = ["Classes", "Majority", "Mean", "MeanDirection", "Median", "Values", "per_image"]
