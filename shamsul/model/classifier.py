"""The classifier: a network, the classes it predicts, and how radiographs are shown to it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shamsul.errors import InputError
from shamsul.model.ensemble import Ensemble
from shamsul.model.outputs import Mapped, mapped
from shamsul.model.spec import Spec
from shamsul.model.structure import Structure
from shamsul.size import Size, at_a_time

# Intel MKL otherwise sums a matrix product in an order that depends on the number of threads.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")

logger = logging.getLogger(__name__)

TILE = 16
"""Images of 224 x 224 per forward pass on a CPU, fewer where they are larger. It is fixed because
kernels for another number of images add in another order: the last bits of a logit would depend on
how many images it was computed with."""


def cpu_tile(size: Size) -> int:
    """Return the number of images of that height and width per forward pass on a CPU."""
    return at_a_time(TILE, size)


class Classifier(nn.Module):
    """A multi-label classifier of chest radiographs.

    Attributes
    ----------
    network : network with its outputs mapped to the classes, (N, K, H, W) -> (N, C) logits.
    spec : specification of the classifier, all but its weights.
    batch_size : images per forward pass of `predict` on a GPU; it is halved where memory is short,
        and not saved.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        spec: Spec,
        batch_size: int = 32,
        structure: Structure | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.spec = spec
        self.batch_size = batch_size
        self._structure = structure
        shown = spec.presentation
        for name, values in (("mean", shown.mean), ("std", shown.std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)
        self.eval()

    @classmethod
    def of(
        cls,
        network: nn.Module,
        classes: Sequence[str],
        name: str = "own/network",
        size: int | Size = 224,
    ) -> Classifier:
        """Return a classifier of a network that has one logit for each class, in their order, and
        sees radiographs as ImageNet's images are seen.

        Parameters
        ----------
        network : (N, 3, H, W) -> (N, C).
        classes : names of the C classes.
        name : name of the network, by which its weights can be drawn anew.
        size : height and width of the images in pixels, or the side of a square.
        """
        return cls(network, Spec.plain(name, tuple(classes), size))

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the C classes, in the order of the logits."""
        return self.spec.classes

    @property
    def size(self) -> Size:
        """Return height and width of the images in pixels."""
        return self.spec.size

    @property
    def inner(self) -> nn.Module:
        """Return the network without the mapping of its outputs, (N, K, H, W) -> (N, M)."""
        return self.network.network if isinstance(self.network, Mapped) else self.network

    @property
    def structure(self) -> Structure:
        """Return what is known of the network's inside, which is found where it is not known. Of an
        ensemble it is what is known of each member.
        """
        if self._structure is None:
            from shamsul.model.inside.examine import examine

            self._structure = examine(self.members[0])
        return self._structure

    @property
    def members(self) -> tuple[Classifier, ...]:
        """Return the classifiers whose outputs are averaged: the classifier itself for one."""
        if not isinstance(self.inner, Ensemble):
            return (self,)
        spec = self.spec.model_copy(update={"members": 1})
        plain, outputs = spec.outputs.plain, spec.outputs
        found = [
            Classifier(
                network if plain else Mapped(network, outputs),
                spec, self.batch_size, self._structure,
            )
            for network in self.inner.members
        ]  # fmt: skip
        return tuple(member.to(self.device) for member in found)

    @property
    def device(self) -> torch.device:
        """Return the device of the weights."""
        return next(self.network.parameters()).device

    @property
    def tile(self) -> int:
        """Return the number of images per forward pass of `predict`."""
        return cpu_tile(self.size) if self.device.type == "cpu" else self.batch_size

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, C) of normalised images (N, K, H, W)."""
        return self.network(images)

    def normalise(self, grey: NDArray[np.uint8] | Tensor) -> Tensor:
        """Normalise grey radiographs to the network's input, as `spec.presentation` says.

        ``((black + grey / 255 (white - black)) - mean) / std`` in each channel. Several channels
        are linear functions of one measurement and not several measurements. Equal grey differs a
        little between ImageNet's (black is -2.12, -2.04, -1.80), and relevance is summed over them.

        Parameters
        ----------
        grey : (N, H, W) uint8.

        Returns
        -------
        (N, K, H, W) float32 on the model's device.
        """
        images = torch.as_tensor(grey).to(self.mean.device)[:, None].to(torch.float32) / 255
        black, white = self.spec.presentation.scale
        if (black, white) != (0.0, 1.0):
            images = black + images * (white - black)
        return (images - self.mean) / self.std

    @torch.no_grad()
    def predict(self, images: Tensor) -> Tensor:
        """Compute logits, in passes of equal size, without gradients.

        A logit depends on its own image alone: not on how many others there are nor on their
        order, and on a processor not on `batch_size` or the number of threads either, to the
        last bit.

        Parameters
        ----------
        images : (N, K, H, W) float32, normalised, on any device; N may be 0.

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

    def drawn(self, seed: int) -> Classifier:
        """Return the architecture on the same device with weights as they are drawn from `seed`.

        Its batch norms have no statistics yet: see `untrained`.
        """
        from shamsul.model.networks.build import build

        if refusal := self.structure.refusal(["random_weights"]):
            raise InputError(f"{self.spec.network}: {refusal}")
        network = mapped(build(self.spec, seed), self.spec.outputs)
        other = Classifier(network, self.spec, self.batch_size, self._structure)
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
                f"{self.spec.network} with random weights gives every image the same logits, so it "
                "is no control; choose another `seed`, or leave out `network: untrained` and the "
                "probes of randomisation"
            )
        return other

    def digest(self) -> str:
        """Return the SHA-256 of the specification and of the weights: names, types, shapes and
        values; not of any file.
        """
        spec = self.spec.model_dump()
        digest = hashlib.sha256(json.dumps(spec, sort_keys=True).encode())
        for name, tensor in sorted(self.inner.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()
