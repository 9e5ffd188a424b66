"""mtlbench: every way to share a network between tasks, trained under one protocol and measured on what would be deployed."""

__version__ = "0.1.0"
