"""Statistics of batch norms for networks with random weights.

Fresh batch norms have mean 0 and variance 1 and so do not normalise. In a deep network the signal
then fades: an EfficientNet's logits are equal to the last bit for any image. A control made of such
a network would be beaten by anything. So the statistics are estimated once the weights are drawn.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from shamsul.model.classifier import Classifier, cpu_tile
from shamsul.size import Size

logger = logging.getLogger(__name__)

Moment = np.ndarray[Any, np.dtype[np.float64]]
"""Mean or variance (C,) of the channels that reach a batch norm."""

CELLS = (1, 2, 4, 8, 16, 32)
"""Cells along a side of the fields that a calibration image is the sum of."""
LEAST_SPREAD = 1e-4
"""Smallest standard deviation of logits over images, relative to their size, of a network that
depends on its input."""


def calibration_images(size: Size, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Make grey images with as much coarse and fine detail as radiographs have.

    They are sums of smooth fields of random greys, the finer the fainter, always the same for a
    size. No radiograph takes part, so that every shard of every run has the same network, whatever
    the data.

    Parameters
    ----------
    size : height and width in pixels.
    count : number N of images.

    Returns
    -------
    (N, H, W) uint8, each from black to white.
    """
    generator = np.random.default_rng(0)
    images = torch.zeros(count, 1, *size, dtype=torch.float64)
    for cells in CELLS:
        grey = torch.from_numpy(generator.normal(size=(count, 1, cells, cells)))
        images += nn.functional.interpolate(grey, size, mode="bilinear") / cells**0.5
    low, high = images.amin((2, 3), keepdim=True), images.amax((2, 3), keepdim=True)
    return ((images - low) / (high - low) * 255).round().to(torch.uint8)[:, 0].numpy()


@torch.no_grad()
def calibrate(model: Classifier, parts: tuple[str, ...] = ("",)) -> bool:
    """Estimate the statistics of batch norms on `calibration_images`, in place.

    One pass goes through the network. Each batch norm takes mean and variance of what reaches it,
    the norms before it being estimated already. The number of images is the same on every device
    and for every batch size. On a GPU without the memory for so many, one image goes through at a
    time, and once more for each batch norm.

    Parameters
    ----------
    model : classifier whose weights are drawn, in evaluation mode.
    parts : beginnings of the names of the modules whose statistics are estimated.

    Returns
    -------
    False where the logits do not depend on the image even so, which is logged.
    """
    images = model.normalise(calibration_images(model.size, max(2, cpu_tile(model.size))))
    norms = [
        module
        for name, module in model.network.named_modules()
        if isinstance(module, nn.BatchNorm2d) and f"{name}.".startswith(parts)
    ]
    try:
        with _hooked(norms, lambda norm, values: _set(norm, *_moments(values))):
            logits = model(images)
    except torch.cuda.OutOfMemoryError:
        logger.warning("GPU out of memory: going on with one image of calibration at a time")
        torch.cuda.empty_cache()
        _calibrate_by_image(model, norms, images)
        logits = torch.cat([model(image[None]) for image in images])
    logits = logits.double()
    varies = bool((logits.std(0) > LEAST_SPREAD * logits.abs().amax(0)).any())
    if not varies:
        logger.warning(
            "%s with random weights: its logits do not depend on the image, so it is no control",
            model.spec.network,
        )
    return varies


def _note(found: list[tuple[Moment, Moment]], _: nn.BatchNorm2d, values: Tensor) -> None:
    """Append the moments of what reaches a batch norm."""
    found.append(_moments(values))


def _calibrate_by_image(model: Classifier, norms: list[nn.BatchNorm2d], images: Tensor) -> None:
    """Estimate one batch norm after the other, in the order in which an image reaches them."""
    reached: list[nn.BatchNorm2d] = []
    with _hooked(norms, lambda norm, _: reached.append(norm)):
        model(images[:1])
    for norm in reached:
        found: list[tuple[Moment, Moment]] = []
        with _hooked([norm], partial(_note, found)):
            for image in images:
                model(image[None])
        means, variances = np.array(found).swapaxes(0, 1)
        # All images have as many pixels, so that the law of total variance needs no weights.
        _set(norm, means.mean(axis=0), variances.mean(axis=0) + means.var(axis=0))


@contextmanager
def _hooked(
    norms: list[nn.BatchNorm2d], function: Callable[[nn.BatchNorm2d, Tensor], None]
) -> Iterator[None]:
    """Call `function` with each of the norms and its input (N, C, H, W), before it is computed."""
    hooks = [
        norm.register_forward_pre_hook(lambda module, given: function(module, given[0]))
        for norm in norms
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _moments(values: Tensor) -> tuple[Moment, Moment]:
    """Return mean and variance (C,) of values (N, C, H, W)."""
    # In NumPy, whose sums do not depend on the number of threads.
    exact = values.detach().cpu().contiguous().numpy().astype(np.float64)
    return exact.mean(axis=(0, 2, 3)), exact.var(axis=(0, 2, 3))


def _set(norm: nn.BatchNorm2d, mean: Moment, variance: Moment) -> None:
    """Set the statistics of a batch norm."""
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(torch.from_numpy(mean))
    norm.running_var.copy_(torch.from_numpy(variance))
