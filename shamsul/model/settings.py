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
    """The network, and the source of its weights."""

    backbone: Literal[BACKBONES] = "densenet121"  # type: ignore[valid-type]
    """Architecture of the network: torchvision's, except `densenet_small`, which trains on a
    CPU."""
    weights: str = "imagenet"
    """Initial weights of training: `imagenet` (torchvision's), `random`, or a file of torchvision
    weights."""
    checkpoint: str | None = None
    """Path of a trained checkpoint or state dict to use instead of training."""


class Train(Section):
    """The training of the classifier. Every setting here changes its weights."""

    epochs: PositiveInt = 10
    """Largest number of passes through the train split."""
    batch_size: PositiveInt = 16
    """Images per step of the optimiser."""
    optimiser: Literal["adam", "adamw"] = "adam"
    """Optimiser: Adam, or AdamW, which keeps the decay of weights apart from their gradients."""
    learning_rate: PositiveFloat = 1e-4
    """Largest learning rate; `schedule` says how it changes."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Weight decay of all weights, as torch's optimisers take it."""
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    """Schedule of the learning rate. `cosine`: a rise from zero, then half a cosine back to it;
    `plateau`: a tenth of the rate each time the loss on the tune split stops falling."""
    uncertainty: Literal["zeros", "ones", "ignore", "smoothed"] = "zeros"
    """Policy for uncertain labels of the classes not named in `uncertainty_per_class`: negative,
    positive, left out of the loss, or a smoothed positive."""
    uncertainty_per_class: dict[str, Literal["zeros", "ones", "ignore", "smoothed"]] = {}
    """Policy for uncertain labels by class."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weights of the loss. `balanced` weighs positives and negatives of each class to equal sums,
    as the study did."""
    flip: bool = True
    """Random mirroring of half of the images."""
    shift: Fraction = 0.0
    """Largest random translation, as a fraction of the side."""
    early_stopping: PositiveInt | None = None
    """Epochs without a better mean AUROC on the tune split after which training stops."""
    amp: bool = False
    """Mixed precision (bfloat16 autocast); ignored on a device without it."""
    threads: PositiveInt = 2
    """Number of compute threads. Sums depend on it, so it is configuration, not scheduling."""
