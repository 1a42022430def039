"""Superpixels: connected regions of similar grey, the features of LIME and Kernel SHAP."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def slic(
    image: NDArray[np.floating], segments: int, compactness: float, sigma: float
) -> NDArray[np.intp]:
    """SLIC superpixels (Achanta et al., PAMI 2012) by scikit-image.

    Parameters
    ----------
    image : (H, W) grey values in [0, 1].
    segments : about how many superpixels to make; there can be fewer, at least one.
    compactness : weight of nearness against likeness of grey; large values give squares.
    sigma : width in pixels of the Gaussian that smooths the image first.

    Returns
    -------
    (H, W) labels 0 to M - 1, all of them in use.
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
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
