"""What an explanation method is.

A method is one class: its parameters are typed fields with defaults and limits, its `explain` is
the mathematics. Snakemake reads the fields before any job starts, so modules of methods load
torch lazily (see `cam.py`); a method that imports it at the top works too, and starts slower.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from torch import Tensor

    from shamsul.model.classifier import Classifier

Cost = Literal["forward", "backward", "sampling", "none"]
"""What a method spends its time on: one forward pass for all classes, a backward pass per class,
hundreds of forward passes per image, or nothing of the model's."""


class Explainer(BaseModel):
    """An explanation method. Subclasses set the class variables and write `explain`.

    Attributes
    ----------
    method : its name in the configuration.
    title : its name in the report.
    citation : where it comes from.
    cost : what it spends its time on.
    signed : whether negative relevance means evidence against the class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: ClassVar[str]
    title: ClassVar[str]
    citation: ClassVar[str]
    cost: ClassVar[Cost]
    signed: ClassVar[bool]

    def explain(
        self, model: Classifier, images: Tensor, classes: Tensor, seeds: list[int]
    ) -> Tensor:
        """Heatmaps of all asked classes of all images, in one call.

        Parameters
        ----------
        model : the classifier, in evaluation mode.
        images : (N, 3, H, W) float32, normalised as the model sees them.
        classes : (C,) int64, indices into the model's classes.
        seeds : N integers, one per image; the only source of randomness.

        Returns
        -------
        (N, C, h, w) float32, at the method's own resolution. Each heatmap depends on its own
        image, class and seed alone.
        """
        raise NotImplementedError

    @classmethod
    def unsuited(cls, backbone: str) -> str | None:
        """Why the method cannot explain this backbone, or None where it can."""
        return None


def image_seed(seed: int, image_id: str) -> int:
    """The seed of one image under the configuration's seed: 32 bits, whatever shard it is in."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{image_id}".encode()).digest()[:4], "big")
