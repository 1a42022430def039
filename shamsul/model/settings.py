"""Configuration of the classifier and its training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from shamsul.settings import Fraction, Section

BACKBONES = (
    "densenet_small",
    "densenet121",
    "resnet18",
    "resnet50",
    "vgg16",
    "efficientnet_b0",
    "convnext_tiny",
    "vit_b_16",
)


class Model(Section):
    """Which network, and where its weights come from."""

    backbone: Literal[BACKBONES] = "densenet121"  # type: ignore[valid-type]
    """The architecture: torchvision's, but for `densenet_small`, which trains on a processor."""
    weights: str = "imagenet"
    """Start of training: `imagenet` (torchvision's), `random`, or a file of torchvision weights."""
    checkpoint: str | None = None
    """A trained checkpoint: nothing is trained then."""


class Train(Section):
    """How the classifier is trained. Everything here changes its weights."""

    epochs: PositiveInt = 10
    """Times that the train split is gone through, at most."""
    batch_size: PositiveInt = 16
    """Images per step."""
    optimiser: Literal["adam", "adamw"] = "adam"
    """Adam, or AdamW, which keeps the decay of weights apart from their gradients."""
    learning_rate: PositiveFloat = 1e-4
    """The largest; `schedule` says what becomes of it."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Of all weights, as torch's optimisers take it."""
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    """`cosine`: a rise from zero, then half a cosine back to it; `plateau`: a tenth where the loss
    on tune stays as it is."""
    uncertainty: Literal["zeros", "ones", "ignore", "smoothed"] = "zeros"
    """What an uncertain label counts as, for classes not named in `uncertainty_per_class`."""
    uncertainty_per_class: dict[str, Literal["zeros", "ones", "ignore", "smoothed"]] = {}
    """The same by class."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs positives and negatives of each class to equal sums, as the study did."""
    flip: bool = True
    """Mirror half of the images at random."""
    shift: Fraction = 0.0
    """Largest random translation, as a fraction of the side."""
    early_stopping: PositiveInt | None = None
    """Stop after this many epochs without a better mean AUROC on tune."""
    amp: bool = False
    """Mixed precision (bfloat16 autocast); ignored on a processor without it."""
    threads: PositiveInt = 2
    """Compute threads. Sums depend on their number, so it is configuration, not scheduling."""
