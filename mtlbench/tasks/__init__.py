"""What a task is, and what it means: its loss, its metrics, its pictures."""

from mtlbench.tasks.task import DENSE, KINDS, VOID, Metric, Task, select_tasks, skill

__all__ = ["DENSE", "KINDS", "VOID", "Metric", "Task", "select_tasks", "skill"]
