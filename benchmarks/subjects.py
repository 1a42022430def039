"""Networks and radiographs that the benchmarks of explanations are about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shamsul.model import checkpoint
from shamsul.model.classifier import Classifier
from shamsul.storage.images import read_images
from tests.networks import network

CLASSES = tuple(f"class {number}" for number in range(14))
SIZE = 224
TRAINED = Path("results/phantom/model/checkpoint.pt"), Path("results/phantom/images/test-0000.h5")
"""Of the default experiment, where it has been run."""


def plain(size: int = SIZE) -> Classifier:
    """densenet121 for 14 classes, as torchvision makes it, for images of this side."""
    return Classifier.of(
        network("densenet121", 14).requires_grad_(False), CLASSES, "densenet121", size
    )


def ready(size: int = SIZE) -> Classifier:
    """The same as `shamsul.model.checkpoint.load` hands it to the methods."""
    return plain(size).to(memory_format=torch.channels_last)


def radiographs(model: Classifier, count: int, seed: int = 1) -> Tensor:
    """Smooth random images, normalised: (count, 3, size, size)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 1, 8, 8, generator=generator)
    fine = torch.nn.functional.interpolate(coarse, size=model.size, mode="bicubic")[:, 0]
    return model.normalise((255 * fine.clamp(0, 1)).to(torch.uint8))


def trained(count: int) -> tuple[Classifier, Tensor, str]:
    """The default experiment's network and test images, or untrained ones where it was not run."""
    if all(path.is_file() for path in TRAINED):
        model = checkpoint.load(TRAINED[0])
        images = read_images(TRAINED[1]).image[:count]
        return model, model.normalise(images), "densenet_small, trained on phantoms"
    model = Classifier.of(network("densenet_small", 14), CLASSES, "densenet_small", 96)
    return model, radiographs(model, count), "densenet_small, untrained"


FORWARD = {"peer": "forward pass (torch)", "peer_version": torch.__version__}


def sizes(images: int) -> dict[str, Any]:
    """What was explained, for the line."""
    return {
        "network": "densenet121", "images": images, "size": SIZE, "classes": 14,
        "threads": torch.get_num_threads(),
    }  # fmt: skip
