"""Superpixels: connected regions of a radiograph, the features of LIME and Kernel SHAP."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Superpixels = Literal["slic", "quickshift", "grid"]

Labels = NDArray[np.intp]
"""Superpixel numbers (H, W), 0 to M - 1, all of them in use."""


def slic(image: NDArray[np.floating], segments: int, compactness: float, sigma: float) -> Labels:
    """Make SLIC superpixels (Achanta et al., PAMI 2012) with scikit-image.

    Parameters
    ----------
    image : (H, W) grey values in [0, 1].
    segments : about how many superpixels to make; there can be fewer, at least one.
    compactness : weight of nearness against likeness of grey; large values give squares.
    sigma : width in pixels of the Gaussian that smooths the image first.
    """
    from skimage import segmentation  # Here, because it is slow to import.

    labels = segmentation.slic(
        np.asarray(image, np.float64),
        n_segments=segments,
        compactness=compactness,
        sigma=sigma,
        start_label=0,
        channel_axis=None,
    )
    return _numbered(labels)


def quickshift(image: NDArray[np.floating], seed: int) -> Labels:
    """Make quickshift superpixels (Vedaldi and Soatto, ECCV 2008), as the lime package does.

    By scikit-image with lime's settings (kernel 4, distance 200, ratio 0.2). Their number follows
    from the image and cannot be set: some hundred at 224 x 224.

    Parameters
    ----------
    image : (H, W) grey values in [0, 1].
    seed : seed of the noise that breaks ties.
    """
    from skimage import segmentation

    small = seed % 2**31  # It takes no larger one.
    colour = np.repeat(np.asarray(image, np.float64)[..., None], 3, axis=2)
    labels = segmentation.quickshift(colour, kernel_size=4, max_dist=200, ratio=0.2, rng=small)
    return _numbered(labels)


def grid(height: int, width: int, segments: int) -> Labels:
    """Cut rectangles of equal size to within a pixel, about as many as asked, as square as can be.

    Parameters
    ----------
    height, width : height and width of the image in pixels.
    segments : approximate number of segments; at least one.
    """
    rows = min(height, max(1, round((segments * height / width) ** 0.5)))
    columns = min(width, max(1, round(segments / rows)))
    row, column = np.arange(height) * rows // height, np.arange(width) * columns // width
    return row[:, None] * columns + column[None, :]


def _numbered(labels: NDArray[np.integer]) -> Labels:
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
