"""Names of networks, as `model.network` has them, read without torch."""

from __future__ import annotations

from shamsul.errors import InputError
from shamsul.settings import unknown

SOURCES = {
    "shamsul": ("shamsul.model.networks.torchvision", "Small"),
    "torchvision": ("shamsul.model.networks.torchvision", "Torchvision"),
    "timm": ("shamsul.model.networks.timm", "Timm"),
    "torchxrayvision": ("shamsul.model.networks.torchxrayvision", "TorchXRayVision"),
    "huggingface": ("shamsul.model.networks.huggingface", "HuggingFace"),
    "own": ("shamsul.model.networks.own", "Own"),
    "torchscript": ("shamsul.model.networks.own", "Scripted"),
    "export": ("shamsul.model.networks.own", "Exported"),
}
"""Module and class of each source, by the name before the slash."""
SHORT = {
    "densenet_small": "shamsul/densenet_small",
    **{
        name: f"torchvision/{name}"
        for name in (
            *("densenet121", "resnet18", "resnet50", "vgg16"),
            *("efficientnet_b0", "convnext_tiny", "vit_b_16"),
        )
    },
}
"""Networks that need no source before their name."""


def parted(network: str) -> tuple[str, str]:
    """Return source and name of a network.

    Raises
    ------
    InputError
        There is no such source, or no network of that short name.
    """
    source, slash, name = SHORT.get(network, network).partition("/")
    if not slash:
        raise InputError(
            f"model.network: {unknown(network, SHORT, 'network')}, or SOURCE/NAME with one of the "
            f"sources {', '.join(SOURCES)}"
        )
    if source not in SOURCES or not name:
        raise InputError(f"model.network: {network}: {unknown(source, SOURCES, 'source')}")
    return source, name
