"""Small untrained classifiers for tests of explanations, with batch norms that do something."""

from __future__ import annotations

import torch
import torchvision
from torch import nn

from shamsul.model.classifier import Classifier
from shamsul.model.importing import untrained
from shamsul.model.settings import Model
from shamsul.model.spec import Presentation, Spec

torch.set_num_threads(1)


def network(name: str, classes: int = 4, bias_free: bool = False, seed: int = 0) -> nn.Module:
    """A torchvision network; batch norms have random statistics and scales of either sign."""
    torch.manual_seed(seed)
    if name == "densenet_small":
        built = torchvision.models.DenseNet(16, (2, 4, 6), 24, num_classes=classes)
    else:
        built = getattr(torchvision.models, name)(num_classes=classes)
    return randomised(built, bias_free)


def randomised(built: nn.Module, bias_free: bool = False) -> nn.Module:
    """The network in evaluation mode, with random biases and batch norms, or without biases."""
    for module in built.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            sign = torch.where(torch.rand(module.num_features) < 0.3, -1.0, 1.0)
            module.weight.data = sign * (0.5 + torch.rand(module.num_features))
            module.running_var = 0.5 + torch.rand(module.num_features)
            module.bias.data = 0.3 * torch.randn(module.num_features)
            module.running_mean = 0.3 * torch.randn(module.num_features)
            if bias_free:
                module.bias.data.zero_()
                module.running_mean.zero_()
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            module.bias.data = torch.zeros_like(module.bias)
            if not bias_free:
                module.bias.data += 0.1 * torch.randn(module.bias.shape)
    return built.eval()


def classifier(name: str, size: int = 64, bias_free: bool = False) -> Classifier:
    """A classifier of four classes."""
    return Classifier.of(network(name, 4, bias_free), tuple("abcd"), name, size)


class Textures(Classifier):
    """A classifier whose logit of class c is how much of texture c there is.

    The textures are 2 x 2 tiles of black and white, one a row of `TILES`; normalised, black is -1
    and white 1.
    """

    TILES = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1], [-1, -1, 1, 1]])
    tile = 16

    def __init__(self, order: tuple[int, ...] = (0, 1, 2, 3)):
        conv = nn.Conv2d(3, 4, 2, stride=2)
        conv.weight.data = self.TILES.reshape(4, 1, 2, 2).repeat(1, 3, 1, 1) / 12
        conv.bias.data = torch.full((4,), -0.1)
        linear = nn.Linear(4, 4)
        linear.weight.data = (8 * torch.eye(4) - 2)[list(order)]
        linear.bias.data = torch.full((4,), 0.5)
        network = nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), linear)
        classes = tuple("abcd"[index] for index in order)
        shown = Presentation(scale=(-1, 1), mean=(0, 0, 0), std=(1, 1, 1))
        spec = Spec.plain("own/textures", classes, 32)
        super().__init__(network, spec.model_copy(update={"presentation": shown}), 16)

    @torch.no_grad()
    def predict(self, images):
        """In batches of 16, whatever `batch_size`: an image's logits depend on nothing else."""
        parts = images.split(16)
        padded = [part[torch.arange(16) % len(part)] for part in parts]
        return torch.cat([self(p)[: len(part)] for p, part in zip(padded, parts, strict=True)])

    def digest(self):
        return "abc123"

    @classmethod
    def image(cls, placed: tuple[int, int, int, int], size: int = 32) -> torch.Tensor:
        """Texture `placed[q]` in quadrant q (top left, top right, bottom left and right): uint8."""
        tiles = [cls.TILES[index].reshape(2, 2).repeat(size // 4, size // 4) for index in placed]
        rows = [torch.cat(tiles[:2], 1), torch.cat(tiles[2:], 1)]
        return ((torch.cat(rows) + 1) * 127.5).to(torch.uint8)


def built(
    name: str, classes: int, size: int, weights: str = "random", seed: int = 0, **model: object
) -> nn.Module:
    """A network as a training starts with it."""
    names = tuple(f"class {number}" for number in range(classes))
    asked = Model(network=name, weights=weights, **model)
    return untrained(asked, names, size, seed).network.train()


def lively(net: nn.Module, seed: int = 0) -> nn.Module:
    """Draw biases and the statistics of batch norms, so that no two outputs are alike."""
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.3 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)
        elif isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            module.bias.data = 0.3 * torch.randn(module.bias.shape)
    return net.eval()
