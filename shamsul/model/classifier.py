"""The classifier: a backbone, the classes it predicts, and the normalisation of radiographs."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from shamsul.errors import InputError

# Intel MKL otherwise sums a matrix product in an order that depends on the number of threads.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

logger = logging.getLogger(__name__)

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's red, green and blue, on a scale of 0 to 1, as `MEAN` is their
mean."""

TILE = 16
"""Images of 224 x 224 per forward pass on a CPU, fewer where they are larger. It is fixed because
kernels for another number of images add in another order: the last bits of a logit would depend on
how many images it was computed with."""


def cpu_tile(size: int) -> int:
    """Return the number of images of `size` x `size` pixels per forward pass on a CPU."""
    return max(1, TILE * 224**2 // max(size, 224) ** 2)


class Classifier(nn.Module):
    """A multi-label classifier of chest radiographs.

    Attributes
    ----------
    network : torchvision network, (N, 3, S, S) -> (N, C).
    classes : names of the C classes, in the order of the logits.
    backbone : name of the network's architecture.
    size : side S in pixels of the images.
    batch_size : images per forward pass of `predict` on a GPU; it is halved where memory is short,
        and not saved.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        classes: tuple[str, ...],
        backbone: str,
        size: int,
        batch_size: int = 32,
    ) -> None:
        super().__init__()
        self.network = network
        self.classes = tuple(classes)
        self.backbone = backbone
        self.size = size
        self.batch_size = batch_size
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.eval()

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return next(self.network.parameters()).device

    @property
    def tile(self) -> int:
        """Return the number of images per forward pass of `predict`."""
        return cpu_tile(self.size) if self.device.type == "cpu" else self.batch_size

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, C) of normalised images (N, 3, S, S)."""
        return self.network(images)

    def normalise(self, grey: NDArray[np.uint8] | Tensor) -> Tensor:
        """Normalise grey radiographs to the network's input.

        The grey value is repeated in the three channels, and each is scaled as ImageNet's images
        are: ``(grey / 255 - mean) / std``. So a pretrained network sees an image without colour.
        The three channels are linear functions of one measurement and not three measurements. Equal
        grey differs a little between them (black is -2.12, -2.04, -1.80), and relevance is summed
        over them.

        Parameters
        ----------
        grey : (N, S, S) uint8.

        Returns
        -------
        (N, 3, S, S) float32 on the model's device.
        """
        images = torch.as_tensor(grey).to(self.mean.device)[:, None].to(torch.float32) / 255
        return (images - self.mean) / self.std

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Compute logits, in passes of equal size, without gradients.

        A logit depends on its own image alone: not on how many others there are nor on their
        order, and on a processor not on `batch_size` or the number of threads either, to the
        last bit.

        Parameters
        ----------
        images : (N, 3, S, S) float32, normalised, on any device; N may be 0.

        Returns
        -------
        (N, C) float32 on the model's device.
        """
        logits = [torch.empty(0, len(self.classes), device=self.device)]
        start = 0
        while start < len(images):
            tile = self.tile
            try:
                chunk = images[start : start + tile].to(self.device)
                count = len(chunk)
                if count < tile:
                    chunk = torch.cat([chunk, chunk[-1:].expand(tile - count, *chunk.shape[1:])])
                logits.append(self(chunk.contiguous())[:count])
            except torch.cuda.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
                self.batch_size //= 2
                logger.warning("GPU out of memory: going on with batches of %d", self.batch_size)
                torch.cuda.empty_cache()
                continue
            start += count
        return torch.cat(logits)

    def split(self, images: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """Run the forward pass in two halves, cut where class activation maps are made.

        DenseNet: after the last norm and ReLU. ResNet: `layer4`. VGG: the last convolution and
        ReLU, before the pooling. EfficientNet, ConvNeXt: `features`. Vision transformer: the
        patches' tokens before the last block, as a grid; the class token stays in `head`.

        Parameters
        ----------
        images : (N, 3, S, S) float32, normalised.

        Returns
        -------
        activations : (N, K, h, w).
        head : maps activations (N, K, h, w) of the same images to logits (N, C);
            ``head(activations) == forward(images)``.
        """
        network: Any = self.network
        match self.backbone:
            case "densenet_small" | "densenet121":
                activations = functional.relu(network.features(images))
                return activations, lambda a: network.classifier(_pooled(a))
            case "resnet18" | "resnet50":
                x = network.maxpool(network.relu(network.bn1(network.conv1(images))))
                activations = network.layer4(network.layer3(network.layer2(network.layer1(x))))
                return activations, lambda a: network.fc(network.avgpool(a).flatten(1))
            case "vgg16":
                activations = network.features[:-1](images)
                return activations, lambda a: network.classifier(
                    network.avgpool(network.features[-1](a)).flatten(1)
                )
            case "efficientnet_b0":
                activations = network.features(images)
                return activations, lambda a: network.classifier(network.avgpool(a).flatten(1))
            case "convnext_tiny":
                activations = network.features(images)
                return activations, lambda a: network.classifier(network.avgpool(a))
            case "vit_b_16":
                return self._split_transformer(images)
        raise NotImplementedError(f"{self.backbone} has no split")

    def _split_transformer(self, images: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        network: Any = self.network
        patches = network._process_input(images)
        tokens = torch.cat([network.class_token.expand(len(images), -1, -1), patches], dim=1)
        encoder = network.encoder
        tokens = encoder.dropout(tokens + encoder.pos_embedding)
        tokens = encoder.layers[:-1](tokens)
        class_token, patches = tokens[:, :1], tokens[:, 1:]
        side = self.size // network.patch_size
        activations = patches.transpose(1, 2).unflatten(2, (side, side))

        def head(a: Tensor) -> Tensor:
            tokens = torch.cat([class_token, a.flatten(2).transpose(1, 2)], dim=1)
            return network.heads(encoder.ln(encoder.layers[-1](tokens))[:, 0])

        return activations, head

    def drawn(self, seed: int) -> Classifier:
        """Return the architecture on the same device with weights as they are drawn from `seed`.

        Its batch norms have no statistics yet: see `untrained`.
        """
        from shamsul.model.backbones import untrained

        network = untrained(self.backbone, len(self.classes), self.size, seed)
        other = Classifier(network, self.classes, self.backbone, self.size, self.batch_size)
        return other.to(self.device).to(memory_format=torch.channels_last)

    def untrained(self, seed: int) -> Classifier:
        """Return the architecture on the same device with random weights drawn from `seed`.

        Its batch norms have the statistics that `shamsul.model.calibration.calibrate` estimates.

        Raises
        ------
        InputError
            Its logits do not depend on the image, so that it is no control.
        """
        from shamsul.model.calibration import calibrate

        other = self.drawn(seed)
        if not calibrate(other):
            raise InputError(
                f"{self.backbone} with random weights gives every image the same logits, so it is "
                "no control; choose another `seed`, or leave out `network: untrained` and the "
                "probes of randomisation"
            )
        return other

    def digest(self) -> str:
        """Return the SHA-256 of the weights: names, types, shapes and values; not of any file."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.network.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


def _pooled(activations: Tensor) -> Tensor:
    return functional.adaptive_avg_pool2d(activations, (1, 1)).flatten(1)
