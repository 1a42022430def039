"""Predictions of a classifier for whole shards."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from shamsul.errors import InputError
from shamsul.model.classifier import TILE, Classifier
from shamsul.model.dataset import Pixels
from shamsul.size import told, written
from shamsul.storage.images import Images


def logits(classifier: Classifier, pixels: Pixels, count: int) -> NDArray[np.float32]:
    """Compute logits of grey images, with only a few batches of them in memory as floats.

    Parameters
    ----------
    classifier : classifier in evaluation mode.
    pixels : (count, H, W) uint8.

    Returns
    -------
    (count, C) float32.
    """
    found = np.empty((count, len(classifier.classes)), np.float32)
    step = max(TILE, classifier.batch_size) // TILE * TILE
    for start in range(0, count, step):
        rows = np.arange(start, min(start + step, count))
        found[rows] = classifier.predict(classifier.normalise(pixels[rows])).cpu().numpy()
    return found


def predictions(classifier: Classifier, images: Images) -> pd.DataFrame:
    """Make the table of predictions for a shard, one row per image and class, in their order.

    Returns
    -------
    Columns image_id, class, logit (float32), probability (float64: the logit's sigmoid).

    Raises
    ------
    InputError
        The images are of another size than the classifier's.
    """
    if len(images) and images.image.shape[1:] != classifier.size:
        raise InputError(
            f"images are of {told(images.image.shape[1:])} pixels, the checkpoint's of "
            f"{told(classifier.size)}; set data.size: {written(classifier.size)}"
        )
    found = logits(classifier, images.image, len(images)).ravel()
    count = len(classifier.classes)
    return pd.DataFrame(
        {
            "image_id": pd.Series(np.repeat(np.array(images.image_id, object), count), dtype="str"),
            "class": pd.Series(list(classifier.classes) * len(images), dtype="str"),
            "logit": found,
            "probability": torch.from_numpy(found).double().sigmoid().numpy(),
        }
    )
