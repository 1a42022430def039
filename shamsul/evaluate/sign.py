"""Treatment of negative relevance in signed maps."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sign = Literal["positive", "absolute", "minmax"]


def evidence(heatmap: NDArray[np.floating], sign: Sign = "positive") -> NDArray[np.float32]:
    """Return the relevance of a signed map of any shape, at least 0 throughout.

    ``positive``: ``max(x, 0)``, evidence for the class. Negative relevance speaks against the
    class, so it must not count towards where the class is seen. ``absolute``: ``|x|``. ``minmax``:
    ``x - min(x)``, which lifts all that is irrelevant (zero) to a middle level wherever one pixel
    is negative, so that a segmentation can become the whole image.
    """
    heatmap = np.asarray(heatmap, np.float32)
    if sign == "positive":
        return np.maximum(heatmap, 0)
    return np.abs(heatmap) if sign == "absolute" else heatmap - heatmap.min()
