"""Shared by all tests: one thread, and a torchvision that torchmetrics can import."""

import torch

import mtlbench.backbones.vision  # noqa: F401

torch.set_num_threads(1)
