"""What a task is, and what it means: kinds with their losses, metrics and pictures. Loads no torch until a kind is used."""

from mtlbench.tasks.metric import Metric, figures, skill
from mtlbench.tasks.task import VOID, Constant, Kind, Task, select_tasks

__all__ = ["VOID", "Constant", "Kind", "Metric", "Task", "figures", "select_tasks", "skill"]
