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
    """The network, and the origin of its weights."""

    backbone: Literal[BACKBONES] = "densenet121"  # type: ignore[valid-type]
    """Architecture: torchvision's, or `densenet_small`, which is small enough to train on a CPU."""
    weights: str = "imagenet"
    """Start of training: `imagenet` (torchvision's), `random`, or a file of torchvision weights."""
    checkpoint: str | None = None
    """File of a trained checkpoint; with it nothing is trained."""


class Train(Section):
    """Training of the classifier. Everything here changes its weights."""

    epochs: PositiveInt = 10
    """Largest number of passes through the train split."""
    batch_size: PositiveInt = 16
    """Images per step of the optimiser."""
    optimiser: Literal["adam", "adamw"] = "adam"
    """Optimiser: Adam, or AdamW, which decays weights apart from their gradients."""
    learning_rate: PositiveFloat = 1e-4
    """Largest learning rate; `schedule` says how it changes during training."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of all weights, as torch's optimisers define it."""
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    """Course of the learning rate. `cosine` rises from zero and falls back along half a cosine,
    `plateau` divides it by ten where the loss on the tune split no longer falls."""
    uncertainty: Literal["zeros", "ones", "ignore", "smoothed"] = "zeros"
    """Treatment of uncertain labels, for classes not named in `uncertainty_per_class`."""
    uncertainty_per_class: dict[str, Literal["zeros", "ones", "ignore", "smoothed"]] = {}
    """Treatment of uncertain labels by class."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weights of labels: `balanced` gives positives and negatives of each class equal sums, as the
    study did."""
    flip: bool = True
    """Mirroring of half of the images at random."""
    shift: Fraction = 0.0
    """Largest random translation, as a fraction of the side."""
    early_stopping: PositiveInt | None = None
    """Number of epochs without a better mean AUROC on the tune split after which training stops."""
    amp: bool = False
    """Mixed precision (bfloat16 autocast); ignored on a processor without it."""
    threads: PositiveInt = 2
    """Number of compute threads. Sums depend on it, so it is configuration, not scheduling."""
