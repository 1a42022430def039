"""Explaining again: what becomes of a heatmap under noise, and without what the network learned."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shamsul.explain import registry
from shamsul.explain.base import TOGETHER, Explainer
from shamsul.explain.shard import image_seed
from shamsul.model.batching import in_groups
from shamsul.model.classifier import Classifier
from shamsul.probe.similarity import complexity, spearman

Maps = list[NDArray[np.float32]]
"""Of each image its k maps: (k, h, w)."""


def alone(method: Explainer, perturbations: dict[str, Any] | None) -> Explainer:
    """A method of the same mathematics that makes predictions of its own.

    Shared predictions are of the trained network and the radiograph as it is. Superpixels, fill and
    number of samples become those that were shared; the subsets are the method's own draw.

    Parameters
    ----------
    perturbations : the configuration's `explain.perturbations`, where the method uses them.
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
    """Heatmaps of each image's own classes.

    Parameters
    ----------
    greys : (N, S, S) float32 on a scale of 0 to 255.
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
        maps = method.explain(model, images, indices, [seeds[row] for row in rows])
        places = torch.from_numpy(np.searchsorted(asked, classes[rows])).to(maps.device)
        return maps.detach()[torch.arange(len(rows))[:, None], places], None

    # As many together as when they were explained first: sums are rounded alike.
    step = max(1, TOGETHER[method.cost] * 224**2 // max(model.size, 224) ** 2)
    parts = [maps.cpu().numpy() for maps, _ in in_groups(group, len(greys), step)]
    return [maps for part in parts for maps in part.astype(np.float32)]


def noisy(grey: NDArray[np.uint8], count: int, radius: float, seed: int) -> NDArray[np.float32]:
    """Versions of an image with uniform noise of up to `radius` (grey scale of 0 to 1).

    Parameters
    ----------
    grey : (S, S) uint8.

    Returns
    -------
    (count, S, S) float32 on a scale of 0 to 255, which noise may leave by a little.
    """
    noise = np.random.default_rng(seed).uniform(-radius, radius, (count, *grey.shape))
    return (grey + 255 * noise).astype(np.float32)


def max_sensitivity(heatmap: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """``max_n |map_n - map| / |map|`` over maps of noisy versions of an image.

    Yeh et al., NeurIPS 2019, Eq. 3, divided by the map's own norm as captum does, for maps have no
    common unit; by 1 where that is zero.

    Parameters
    ----------
    heatmap : (h, w).
    others : (n, h, w).
    """
    own = heatmap.astype(np.float64)
    furthest = np.sqrt(((others - own) ** 2).sum((1, 2))).max()
    return float(furthest / (np.linalg.norm(own) or 1))


def mprt(heatmap: NDArray[np.floating], others: Sequence[NDArray[np.floating]]) -> list[float]:
    """Rank correlations of a map with those of a network that is randomised more and more.

    The model parameter randomisation test (Adebayo et al., NeurIPS 2018, cascading). A method whose
    map hardly changes does not explain what the network has learned. Signed maps are compared. It
    is a gate and no ranking: noise passes it (Binder et al., CVPR 2023, arXiv 2211.12486).
    """
    return [spearman(heatmap, other) for other in others]


def efficient_mprt(heatmap: NDArray[np.floating], randomised: NDArray[np.floating]) -> float:
    """``(c(randomised) - c(map)) / c(map)``, c the `complexity`, of a wholly random network's map.

    Efficient MPRT (Hedström et al., 2024, arXiv 2405.02383). 0 where the map is constant: nothing
    has lost its order.
    """
    before = complexity(heatmap)
    return (complexity(randomised) - before) / before if before else 0.0


def randomised(model: Classifier, stages: int, seed: int) -> Iterator[Classifier]:
    """The classifier with random weights in ever more of its blocks, from the output down.

    The blocks (see `blocks`) are divided into `stages` of about equal number, the ones beside the
    output first. The last network has random weights throughout. All weights come from one random
    network of the architecture's own initialisation, batch norms' statistics among them.
    """
    other = model.untrained(image_seed(seed, "randomised"))
    random, mixed = other.network.state_dict(), dict(model.network.state_dict())
    reversed_blocks = blocks(model.network)[::-1]
    for part in np.array_split(np.arange(len(reversed_blocks)), stages)[:-1]:
        names = tuple(f"{reversed_blocks[index]}." for index in part)
        mixed |= {key: random[key] for key in random if key.startswith(names)}
        between = copy.deepcopy(model)
        between.network.load_state_dict(mixed)
        yield between
    yield other


def blocks(network: nn.Module) -> list[str]:
    """Names of the parts that a network is made of, from the input to the output.

    Children that hold weights; one that holds more than half of the network's tensors is divided
    into its own children.
    """
    half = len(network.state_dict()) / 2

    def parts(module: nn.Module, name: str) -> Iterator[str]:
        for key, child in module.named_children():
            place, size = f"{name}.{key}".lstrip("."), len(child.state_dict())
            if size > half and any(child.children()):
                yield from parts(child, place)
            elif size:
                yield place

    return list(parts(network, ""))
