"""Networks of other sources and one written by hand, small, for tests of what is found by running.

Each is (N, K, S, S) -> (N, 4); batch norms have random statistics and scales of either sign.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from tests.networks import randomised


class Own(nn.Module):
    """Functions instead of modules, a residual, a gate, and padding behind a batch norm."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(8) for _ in range(3))
        self.wide = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.narrow = nn.Conv2d(8, 8, 1, bias=False)
        self.squeeze, self.excite = nn.Linear(8, 4), nn.Linear(4, 8)
        self.head = nn.Linear(16, 4)

    def forward(self, images):
        x = self.stem(functional.pad(images, (1, 0, 1, 0)))
        y = self.wide(torch.relu(self.norms[0](x)))
        y = self.narrow(functional.relu(self.norms[1](y), inplace=True))
        gate = functional.relu(self.squeeze(y.mean((2, 3))))
        y = y * torch.sigmoid(self.excite(gate))[:, :, None, None]
        y += x
        y = functional.relu6(self.norms[2](y))
        y = functional.max_pool2d(functional.dropout(y, training=self.training), 2)
        halves = torch.cat([y, functional.avg_pool2d(y, 3, 1, 1)], dim=1)
        return self.head(halves.mean([2, 3]).view(len(images), -1))


class Grey(nn.Module):
    """A radiograph of one channel, which is normalised and repeated by the network itself."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.3]).reshape(1, 3, 1, 1))
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3),
            nn.LeakyReLU(0.2), nn.BatchNorm2d(8), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
            nn.Linear(32, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 4),
        )  # fmt: skip

    def forward(self, images):
        return self.layers((images.repeat(1, 3, 1, 1) - self.mean) / 0.25)


class Logits(nn.Module):
    """A network of Hugging Face's, whose output is an object."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        return self.network(pixel_values=images).logits


def torchxrayvision():
    from torchxrayvision.models import DenseNet

    return DenseNet(8, (2, 3, 2), 16, num_classes=4, in_channels=1)


def huggingface():
    from transformers import ResNetConfig, ResNetForImageClassification

    settings = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[2, 1], layer_type="basic", num_labels=4
    )
    return Logits(ResNetForImageClassification(settings))


def torchvision(name, **settings):
    from torchvision import models

    return getattr(models, name)(num_classes=4, **settings)


def timm(name, **settings):
    from timm import create_model

    return create_model(name, pretrained=False, num_classes=4, **settings)


GOOGLENET = {"aux_logits": False, "init_weights": False}
SMALL = {
    "own": Own,
    "grey": Grey,
    "torchxrayvision": torchxrayvision,
    "huggingface": huggingface,
    "torchvision/mobilenet_v2": lambda: torchvision("mobilenet_v2"),
    "torchvision/mobilenet_v3_small": lambda: torchvision("mobilenet_v3_small"),
    "torchvision/shufflenet_v2_x0_5": lambda: torchvision("shufflenet_v2_x0_5"),
    "timm/resnet18": lambda: timm("resnet18"),
    "timm/tf_efficientnet_lite0": lambda: timm("tf_efficientnet_lite0"),
    "timm/efficientnet_b0": lambda: timm("efficientnet_b0"),
    "timm/mobilenetv3_small_100": lambda: timm("mobilenetv3_small_100"),
    "timm/regnetx_002": lambda: timm("regnetx_002"),
    "timm/regnety_002": lambda: timm("regnety_002"),
}
LARGE = {
    "torchvision/regnet_y_400mf": lambda: torchvision("regnet_y_400mf"),
    "torchvision/regnet_x_400mf": lambda: torchvision("regnet_x_400mf"),
    "torchvision/resnext50_32x4d": lambda: torchvision("resnext50_32x4d"),
    "torchvision/googlenet": lambda: torchvision("googlenet", **GOOGLENET),
    "timm/densenet121": lambda: timm("densenet121"),
    "timm/resnext50_32x4d": lambda: timm("resnext50_32x4d"),
    "timm/resnetv2_50": lambda: timm("resnetv2_50"),
    "timm/mixnet_s": lambda: timm("mixnet_s"),
    "timm/seresnet50": lambda: timm("seresnet50"),
}
NETWORKS = SMALL | LARGE


def images(name, count=2, size=64, dtype=torch.float64):
    channels = 1 if name in ("grey", "torchxrayvision") else 3
    generator = torch.Generator().manual_seed(3)
    return torch.randn(count, channels, size, size, generator=generator).to(dtype)


def scaled(net, x):
    """Convolutions whose outputs have variance one, so that an image reaches the logits."""

    def scale(layer, inputs, z):
        deviation = z.std() if z.numel() > 1 else z.abs().max()
        layer.weight.data /= deviation.clamp(min=1e-3)
        return layer._conv_forward(inputs[0], layer.weight, layer.bias)

    convolutions = [module for module in net.modules() if type(module) is nn.Conv2d]
    hooks = [conv.register_forward_hook(scale) for conv in convolutions]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return net


def network(name, bias_free=False, dtype=torch.float64):
    torch.manual_seed(0)
    net = randomised(NETWORKS[name](), bias_free).to(dtype)
    return scaled(net, images(name, dtype=dtype))
