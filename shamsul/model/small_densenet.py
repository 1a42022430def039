"""A small DenseNet that needs torch alone: torchvision takes longer to import than it to explain.

Its parameters have the names that torchvision's DenseNet gives them, and for the same seed the same
values, so that the two read each other's files.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

GROWTH = 16
"""Feature maps that each layer adds."""
WIDTH = 4
"""Feature maps of a layer's first convolution, as a multiple of `GROWTH`."""
STEM = 24
"""Feature maps of the stem."""


class DenseLayer(nn.Module):
    """One layer: norm, ReLU, 1 x 1 convolution, norm, ReLU, 3 x 3 convolution.

    It maps (N, K, h, w) to (N, `GROWTH`, h, w).
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, WIDTH * GROWTH, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(WIDTH * GROWTH)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(WIDTH * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the new feature maps."""
        narrow = self.conv1(self.relu1(self.norm1(maps)))
        found: Tensor = self.conv2(self.relu2(self.norm2(narrow)))
        return found


class DenseBlock(nn.ModuleDict):
    """Layers that each see the feature maps of all before them (Huang et al., CVPR 2017)."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        for number in range(layers):
            self[f"denselayer{number + 1}"] = DenseLayer(channels + number * GROWTH)

    def forward(self, maps: Tensor) -> Tensor:
        """Return the feature maps of the input and of all layers, (N, K + layers GROWTH, h, w)."""
        found = [maps]
        for layer in self.values():
            found.append(layer(torch.cat(found, 1)))
        return torch.cat(found, 1)


class SmallDenseNet(nn.Module):
    """DenseNet-BC (Huang et al., CVPR 2017): (N, 3, S, S) -> (N, classes).

    Parameters
    ----------
    blocks : numbers of layers of the dense blocks; the last feature maps have a side of S over 2 to
        the power of one more than the number of blocks.
    classes : number of logits.
    """

    def __init__(self, blocks: tuple[int, ...], classes: int = 1000) -> None:
        super().__init__()
        steps: OrderedDict[str, nn.Module] = OrderedDict(
            conv0=nn.Conv2d(3, STEM, 7, stride=2, padding=3, bias=False),
            norm0=nn.BatchNorm2d(STEM),
            relu0=nn.ReLU(inplace=True),
            pool0=nn.MaxPool2d(3, stride=2, padding=1),
        )
        channels = STEM
        for number, layers in enumerate(blocks, 1):
            steps[f"denseblock{number}"] = DenseBlock(channels, layers)
            channels += layers * GROWTH
            if number < len(blocks):
                steps[f"transition{number}"] = _transition(channels)
                channels //= 2
        steps["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential(steps)
        self.classifier = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, classes)."""
        maps = nn.functional.relu(self.features(images), inplace=True)
        pooled = nn.functional.adaptive_avg_pool2d(maps, 1).flatten(1)
        logits: Tensor = self.classifier(pooled)
        return logits


def _transition(channels: int) -> nn.Sequential:
    """Return a transition, which halves the number of feature maps and their side."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(inplace=True),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2, stride=2),
        )
    )
