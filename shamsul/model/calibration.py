"""Statistics of batch norms for networks with random weights.

Fresh batch norms have mean 0 and variance 1 and so do not normalise. In a deep network the signal
then fades: an EfficientNet's logits are equal to the last bit for any image. A control made of such
a network would be beaten by anything. So the statistics are estimated once the weights are drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shamsul.model.classifier import Classifier

logger = logging.getLogger(__name__)

CELLS = (1, 2, 4, 8, 16, 32)
"""Cells along a side of the fields that a calibration image is the sum of."""
LEAST_SPREAD = 1e-4
"""Smallest standard deviation of logits over images, relative to their size, of a network that
depends on its input."""


def calibration_images(size: int, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Make grey images with as much coarse and fine detail as radiographs have.

    They are sums of smooth fields of random greys, the finer the fainter, always the same for a
    size. No radiograph takes part, so that every shard of every run has the same network, whatever
    the data.

    Parameters
    ----------
    size : side S in pixels.
    count : number N of images.

    Returns
    -------
    (N, S, S) uint8, each from black to white.
    """
    generator = np.random.default_rng(0)
    images = torch.zeros(count, 1, size, size, dtype=torch.float64)
    for cells in CELLS:
        grey = torch.from_numpy(generator.normal(size=(count, 1, cells, cells)))
        images += nn.functional.interpolate(grey, (size, size), mode="bilinear") / cells**0.5
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return ((images - low) / (high - low) * 255).round().to(torch.uint8)[:, 0].numpy()


@torch.no_grad()
def calibrate(model: Classifier, parts: tuple[str, ...] = ("",)) -> bool:
    """Estimate the statistics of batch norms on `calibration_images`, in place.

    One pass goes through the network. Each batch norm takes mean and variance of what reaches it,
    the norms before it being estimated already.

    Parameters
    ----------
    model : classifier whose weights are drawn, in evaluation mode.
    parts : beginnings of the names of the modules whose statistics are estimated.

    Returns
    -------
    False where the logits do not depend on the image even so, which is logged.
    """
    greys = calibration_images(model.size, max(2, model.tile))
    with _estimating(model.network, parts):
        logits = model(model.normalise(greys)).double()
    varies = bool((logits.std(0) > LEAST_SPREAD * logits.abs().amax(0)).any())
    if not varies:
        logger.warning(
            "%s with random weights: its logits do not depend on the image, so it is no control",
            model.backbone,
        )
    return varies


@contextmanager
def _estimating(network: nn.Module, parts: tuple[str, ...]) -> Iterator[None]:
    norms = [
        module
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and f"{name}.".startswith(parts)
    ]
    hooks = [norm.register_forward_pre_hook(_estimate) for norm in norms]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _estimate(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
    """Set the statistics of a batch norm to those of its input (N, C, H, W)."""
    # In NumPy, whose sums do not depend on the number of threads.
    values = given[0].detach().cpu().contiguous().numpy().astype(np.float64)
    for name, moment in (("running_mean", values.mean), ("running_var", values.var)):
        statistic: Tensor = getattr(norm, name)
        statistic.copy_(torch.from_numpy(moment(axis=(0, 2, 3))))
