"""Heatmaps of the same method on other versions of an image or of the network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shamsul.explain import registry
from shamsul.explain.base import TOGETHER, Explainer
from shamsul.model.batching import in_groups
from shamsul.model.classifier import Classifier
from shamsul.size import at_a_time

Maps = list[NDArray[np.float32]]
"""List of the k maps of each image, (k, h, w) each."""


def alone(method: Explainer, perturbations: dict[str, Any] | None) -> Explainer:
    """Return the same method with shared predictions switched off.

    Shared predictions are of the trained network and the radiograph as it is. Superpixels, fill and
    number of samples become those that were shared; the subsets are the method's own draw.

    Parameters
    ----------
    perturbations : configuration's `explain.perturbations`, where the method uses them.
    """
    if not method.uses_shared:
        return method
    assert perturbations is not None
    own = {key: perturbations[key] for key in type(method).model_fields if key in perturbations}
    entry = registry.entry(method) | own | {"shared": False}
    return cast(Explainer, registry.one(entry, module=type(method).__module__))


def explained(
    method: Explainer,
    model: Classifier,
    greys: Tensor,
    classes: NDArray[np.intp],
    seeds: Sequence[int],
) -> Maps:
    """Return heatmaps of each image's own classes.

    Parameters
    ----------
    greys : (N, H, W) float32 on a scale of 0 to 255.
    classes : (N, k) indices into the model's classes.
    seeds : N; equal ones for versions of the same image, so that only the image differs.

    Returns
    -------
    N arrays (k, h, w).
    """

    def group(rows: NDArray[np.intp]) -> tuple[Tensor, None]:
        asked = np.unique(classes[rows])
        images = model.normalise(greys[torch.from_numpy(rows)])
        indices = torch.from_numpy(asked).to(model.device)
        maps = method.averaged(model, images, indices, [seeds[row] for row in rows])
        places = torch.from_numpy(np.searchsorted(asked, classes[rows])).to(maps.device)
        return maps.detach()[torch.arange(len(rows))[:, None], places], None

    # Batches are as large as when they were explained first, so that sums are rounded alike.
    step = at_a_time(TOGETHER[method.cost], model.size)
    parts = [maps.cpu().numpy() for maps, _ in in_groups(group, len(greys), step)]
    return [maps for part in parts for maps in part.astype(np.float32)]
