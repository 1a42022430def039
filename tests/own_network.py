"""A network of a user's own, for tests: `own/tests/own_network.py:make`."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Own(nn.Module):
    """Three convolutions with a shortcut, of one channel; its ReLUs are functions."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.second = nn.Conv2d(16, 16, 3, padding=1)
        self.third = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(32)
        self.head = nn.Linear(32, outputs)

    def forward(self, images: Tensor) -> Tensor:
        x = torch.relu(self.first(images))
        x = torch.relu(self.second(x) + x)
        x = torch.nn.functional.relu(self.norm(self.third(x)))
        return self.head(x.mean((2, 3)))


def make(outputs: int = 2) -> Own:
    return Own(outputs)
