"""Randomisation of the network, and the likeness of heatmaps before and after it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shamsul.explain.shard import image_seed
from shamsul.model.calibration import calibrate
from shamsul.model.classifier import Classifier
from shamsul.model.training.parts import blocks
from shamsul.probe.similarity import complexity, spearman

Map = NDArray[np.floating]


def mprt(heatmap: Map, stages: Sequence[Map]) -> list[float]:
    """Return the rank correlations of a map with those of an ever more randomised network.

    This is the model parameter randomisation test (Adebayo et al., NeurIPS 2018, cascading). A
    method whose map hardly changes does not explain what the network has learned. Signed maps are
    compared. It is a gate and no ranking: noise passes it (Binder et al., CVPR 2023, arXiv
    2211.12486).
    """
    return [spearman(heatmap, stage) for stage in stages]


def efficient_mprt(heatmap: Map, stages: Sequence[Map]) -> float:
    """Return ``(c(random) - c(map)) / c(map)``, the relative rise of the map's `complexity` c.

    ``random`` is the map of the last stage, a network whose weights are all random.

    This is efficient MPRT (Hedström et al., 2024, arXiv 2405.02383). It is 0 where the map is
    constant, since nothing has lost its order.
    """
    before = complexity(heatmap)
    return (complexity(stages[-1]) - before) / before if before else 0.0


RANDOMISATION: dict[str, Callable[[Map, Sequence[Map]], float | list[float]]] = {
    "mprt": mprt,
    "efficient_mprt": efficient_mprt,
}
"""Metrics of a map (h, w) and the same method's map at each stage of randomisation, by name.

Where a function returns a list, one value a stage, the metric is its mean. The values stand beside
it by stage.
"""


def randomised(model: Classifier, stages: int, seed: int) -> Iterator[Classifier | None]:
    """Yield the classifier with random weights in ever more of its blocks, from the output down.

    The blocks (see `blocks`) are divided into `stages` of about equal number, the ones beside the
    output first. The last network has random weights throughout. All weights come from one random
    network of the architecture's own initialisation. The statistics of its batch norms are
    estimated anew in each network (`shamsul.model.calibration`), so that what the trained blocks
    hand on reaches the output. None stands for a network whose logits do not depend on the image
    even so, which is logged.
    """
    other = model.drawn(image_seed(seed, "randomised"))
    random, mixed = other.network.state_dict(), dict(model.network.state_dict())
    reversed_blocks = blocks(model.network)[::-1]
    done: tuple[str, ...] = ()
    for part in np.array_split(np.arange(len(reversed_blocks)), stages)[:-1]:
        names = tuple(f"{reversed_blocks[index]}." for index in part)
        done += names
        mixed |= {key: random[key] for key in random if key.startswith(names)}
        between = copy.deepcopy(model)
        between.network.load_state_dict(mixed)
        yield between if calibrate(between, done) else None
    yield other if calibrate(other) else None
