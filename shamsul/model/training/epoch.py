"""An epoch of training: the order of its images, their augmentation, and its learning rates."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shamsul.model.training import losses

WARM_UP = 0.05
"""Share of the cosine schedule's steps in which the learning rate rises from zero."""


@dataclass(frozen=True)
class Plan:
    """The random choices of an epoch, drawn from (seed, epoch)."""

    order: NDArray[np.intp]
    """Rows (N,) in the order in which they are seen."""
    flip: NDArray[np.bool_]
    """Mirroring of each image, (N,)."""
    shift: NDArray[np.intp]
    """Translation of each image, (N, 2) pixels down and to the right."""
    values: NDArray[np.float32]
    weights: NDArray[np.float32]
    """Targets (`values`) and weights of the loss, (N, C) each."""
    torch_seed: int
    """Seed of dropout and stochastic depth."""

    @classmethod
    def draw(
        cls,
        seed: int,
        epoch: int,
        labels: NDArray[np.float32],
        policy: tuple[str, ...],
        flip: bool,
        reach: int | tuple[int, int],
    ) -> Plan:
        """Draw the plan of an epoch.

        Parameters
        ----------
        seed, epoch : seed and number of the epoch; with the number of images, all that the random
            choices depend on.
        labels, policy : labels and uncertainty policies; see `losses.targets`.
        flip : True to mirror half of the images.
        reach : largest translation in pixels, or the largest down and the largest to the right.
        """
        rng = np.random.default_rng([seed, epoch])
        count = len(labels)
        order = rng.permutation(count)
        mirrored = rng.random(count) < (0.5 if flip else 0.0)
        most = np.array(reach)
        shift = rng.integers(-most, most, size=(count, 2), endpoint=True)
        return cls(
            order, mirrored, shift, *losses.targets(labels, policy, rng), int(rng.integers(2**62))
        )


def batches(order: NDArray[np.intp], size: int) -> list[NDArray[np.intp]]:
    """Split an order into consecutive parts; a last single image joins the part before it.

    A batch norm has no variance to normalise a single value by.
    """
    ends = list(range(size, len(order), size))
    if ends and len(order) - ends[-1] == 1:
        ends.pop()
    return np.split(order, ends)


def augment(
    pixels: NDArray[np.uint8], flip: NDArray[np.bool_], shift: NDArray[np.intp]
) -> NDArray[np.uint8]:
    """Mirror and translate images.

    Parameters
    ----------
    pixels : (N, H, W) uint8.
    flip : (N,) bool, True to exchange left and right.
    shift : (N, 2) pixels down and to the right; pixels that come into view are black.

    Returns
    -------
    (N, H, W) uint8, a copy.
    """
    pixels = np.where(flip[:, None, None], pixels[:, :, ::-1], pixels)
    reach = int(np.abs(shift).max(initial=0))
    if reach == 0:
        return pixels
    height, width = pixels.shape[1:]
    padded = np.pad(pixels, ((0, 0), (reach, reach), (reach, reach)))
    return np.stack(
        [
            image[reach - down : reach - down + height, reach - right : reach - right + width]
            for image, (down, right) in zip(padded, shift, strict=True)
        ]
    )


def cosine(step: int, steps: int) -> float:
    """Return the share of the full learning rate at a step: a short linear rise, then half a
    cosine.
    """
    rise = max(round(WARM_UP * steps), 1)
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(steps - rise, 1)))
