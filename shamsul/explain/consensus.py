"""Consensus: one map made of several methods' maps."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from shamsul.errors import InputError
from shamsul.explain.base import Cost, Method
from shamsul.explain.control import masks_in_frame
from shamsul.explain.shard import Maps, Shard
from shamsul.job.progress import track
from shamsul.size import Size
from shamsul.storage.heatmaps import Heatmaps

logger = logging.getLogger(__name__)

FEWEST_MASKS = 10
"""Fewest masks on the tune split from which a class gets weights of its own. A class with fewer
uses the weights fitted to all explained classes together."""


class Consensus(Method):
    """The weighted mean of the rank-normalised maps of other methods.

    ``map = sum_m w_m rank_m`` with ``sum_m w_m = 1``. A pixel's rank within its map, by positive
    relevance and from 0 to 1, does not depend on the scale of the method. `weights: fitted`
    regresses the experts' masks of the tune split on the ranks, for each class, with coefficients
    that are not negative (stacking; Breiman, Machine Learning 1996). That is supervision: figures
    on the tune split are then too good, those on the test split are not. Maps (N, C, H, W).
    """

    method: ClassVar[str] = "consensus"
    title: ClassVar[str] = "Consensus"
    citation: ClassVar[str] = "Breiman, Machine Learning 1996"
    cost: ClassVar[Cost] = "no_model"
    signed: ClassVar[bool] = False

    of: Annotated[tuple[str, ...], Field(min_length=2)]
    """Names of the methods whose maps are combined."""
    weights: Literal["equal", "fitted"] = "equal"
    """Weights of the methods: `equal`, or `fitted` to the masks of the tune split."""

    @field_validator("of")
    @classmethod
    def _differ(cls, of: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(of)) < len(of):
            raise ValueError("a method is listed twice")
        return of

    @property
    def members(self) -> tuple[str, ...]:
        """Return the names of the methods whose maps are combined."""
        return self.of

    @property
    def supervised(self) -> bool:
        """Return whether the weights are fitted to masks."""
        return self.weights == "fitted"

    def heatmaps(self, shard: Shard) -> Maps:
        """Make maps (N, C, H, W) in [0, 1], where H and W are those of the model's frame.

        Raises
        ------
        InputError
            A member's heatmaps cover the radiograph, and the model's frame is another.
        """
        size, names = shard.size, shard.images.image_id
        whole = all(frame.whole for frame in shard.images.frames)
        for member in self.of:
            if shard.members[member].covers == "radiograph" and not whole:
                raise InputError(
                    f"consensus: the heatmaps of {member} cover the radiograph and not the model's "
                    "frame; leave it out, or use `data.geometry: stretch`"
                )
        weights = self.fit(shard) if self.supervised else {}
        maps = np.zeros((len(names), len(shard.classes), *size), np.float32)
        for n, image_id in enumerate(track(names, "Consensus: images")):
            for c, name in enumerate(shard.classes):
                members = [shard.members[member] for member in self.of]
                ranked = _ranked(members, image_id, name, size)
                maps[n, c] = np.average(ranked, axis=0, weights=weights.get(name))
        return Maps(maps)

    def fit(self, shard: Shard) -> dict[str, NDArray[np.float64]]:
        """Fit the weights (len(of),), of sum 1, of each class; equal where no method's map agrees
        with the masks.
        """
        from scipy.optimize import nnls  # Here, because it is slow to import.

        assert shard.supervision is not None
        heatmaps = {
            (image_id, member): part
            for member, parts in shard.supervision.heatmaps.items()
            for part in parts
            for image_id in part.image_id
        }
        moments: dict[str, list[NDArray[np.float64]]] = {}
        masks = masks_in_frame(shard.supervision)
        for (image_id, name), mask in track(masks.items(), "Consensus: masks", len(masks)):
            if name not in shard.classes:
                continue
            members = [heatmaps[image_id, member] for member in self.of]
            ranked = _ranked(members, image_id, name, shard.size).reshape(len(members), -1)
            moments.setdefault(name, []).append(np.cov(np.vstack([ranked, mask.ravel()])))
        pooled = [moment for some in moments.values() for moment in some]
        weights = {}
        for name in shard.classes:
            own = moments.get(name, [])
            used = own if len(own) >= FEWEST_MASKS else pooled
            if not used:
                continue
            covariance = np.mean(used, axis=0)
            root = np.linalg.cholesky(covariance[:-1, :-1] + 1e-9 * np.eye(len(self.of)))
            found, _ = nnls(root.T, np.linalg.solve(root, covariance[:-1, -1]))
            weights[name] = found / found.sum() if found.any() else np.full(len(found), 1.0)
            logger.info(
                "Consensus: %s, from %d masks%s: %s", name, len(used),
                "" if used is own else " of all explained classes", _told(self.of, weights[name]),
            )  # fmt: skip
        return weights


def _ranked(
    members: Sequence[Heatmaps], image_id: str, name: str, size: Size
) -> NDArray[np.float64]:
    """Rank the positive relevance of one image and class from 0 to 1: (members, H, W)."""
    import pandas as pd  # Here, because it is slow to import; scipy.stats is slower.

    from shamsul.geometry import Frame, to_original

    frame = Frame.fit(*size, size, "stretch")
    ranks = []
    for member in members:
        row, column = member.image_id.index(image_id), member.classes.index(name)
        positive = np.maximum(member.heatmap[row, column], 0)
        order = pd.Series(to_original(positive, frame).ravel()).rank()
        ranks.append(order.to_numpy().reshape(size) - 1)
    return np.array(ranks) / (size[0] * size[1] - 1)


def _told(names: Sequence[str], weights: NDArray[np.float64]) -> str:
    told: Mapping[str, float] = dict(zip(names, weights, strict=True))
    return ", ".join(f"{name} {weight:.2f}" for name, weight in told.items())
