"""Superpixels: connected regions of similar grey, the features of LIME and Kernel SHAP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader as lazy
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from skimage import segmentation
else:
    segmentation = lazy.load("skimage.segmentation", suppress_warning=True)


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
    labels = segmentation.slic(
        np.asarray(image, np.float64),
        n_segments=segments,
        compactness=compactness,
        sigma=sigma,
        start_label=0,
        channel_axis=None,
    )
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
