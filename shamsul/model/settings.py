"""Configuration of the classifier and its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from shamsul.errors import InputError
from shamsul.model.networks.names import parted
from shamsul.model.spec import Activation, Average, Join, Kind
from shamsul.settings import Fraction, Section


class Input(Section):
    """The way from a grey radiograph to the network's input.

    What is not said is taken from the network's source where that says it.
    """

    scale: tuple[float, float] | None = None
    """Values of black and of white before the mean is subtracted; 0 and 1 unless the source says
    otherwise."""
    mean: Annotated[tuple[float, ...], Field(min_length=1)] | None = None
    """Mean that is subtracted, one number for each channel of the network's input."""
    std: Annotated[tuple[float, ...], Field(min_length=1)] | None = None
    """Standard deviation that is divided by, one number for each channel."""


class Output(Section):
    """The way from the network's outputs to the run's classes."""

    names: tuple[str, ...] | None = None
    """Names of the network's outputs, in their order; the source's, or `classes`, if not said."""
    classes: dict[str, str | tuple[str, ...]] = {}
    """Output of each class whose name is another; several where they are to be joined."""
    kind: Kind = "logits"
    """Meaning of the outputs: logits, or probabilities between 0 and 1."""
    join: Join | None = None
    """Way to join a class's outputs where it has several."""


class Model(Section):
    """The network, and the source of its weights."""

    RENAMED: ClassVar[Mapping[str, str]] = {"backbone": "network"}

    network: str = "densenet121"
    """Network, as SOURCE/NAME: `torchvision/NAME`, `timm/NAME`, `torchxrayvision/NAME`,
    `huggingface/FOLDER`, `own/FILE.py:FUNCTION`, `own/MODULE:FUNCTION`, `torchscript/FILE` or
    `export/FILE`. `densenet_small`, which trains on a CPU, and some of torchvision's need no
    source."""
    options: dict[str, Any] = {}
    """Further arguments of the function that builds the network."""
    input: Input = Input()
    outputs: Output = Output()
    head_activation: Activation | None = None
    """Function between the linear layers of a checkpoint's head, if it has several."""
    weights: str = "imagenet"
    """Initial weights of training: `imagenet` (the source's), `pretrained` (those that come with
    the network), `random`, or a file of weights. The head is always new."""
    checkpoint: str | None = None
    """Trained weights to use instead of training: the path of a file, or `pretrained`, which takes
    those that come with the network."""
    checkpoints: Annotated[tuple[str, ...], Field(min_length=2)] | None = None
    """Files of trained weights of several networks of this architecture, which together are the
    classifier; in place of `checkpoint`."""
    average: Average = "probabilities"
    """Quantity of these networks that is averaged: probabilities, as CheXpert's authors did, or
    logits."""

    @property
    def trained(self) -> tuple[str, ...]:
        """Return the trained weights that are used, none where the run trains its own."""
        return self.checkpoints or ((self.checkpoint,) if self.checkpoint is not None else ())

    @model_validator(mode="after")
    def _one_or_several(self) -> Model:
        if self.checkpoint is not None and self.checkpoints is not None:
            raise ValueError("checkpoint and checkpoints are both given; leave out one of them")
        return self

    @field_validator("network")
    @classmethod
    def _source_is_known(cls, network: str) -> str:
        try:
            parted(network)
        except InputError as error:
            raise ValueError(str(error).removeprefix("model.network: ")) from None
        return network


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
    freeze_epochs: NonNegativeInt = 0
    """Epochs at the start in which the last linear layer alone learns; all else stays as it is,
    statistics of batch norms too."""
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor of the learning rate from each part of the network to the one before it, the last
    having `learning_rate`."""
    schedule: Literal["constant", "cosine", "plateau"] = "cosine"
    """Schedule of the learning rate. `cosine`: a rise from zero, then half a cosine back to it;
    `plateau`: a tenth of the rate each time the loss on the tune split stops falling."""
    uncertainty: Literal["zeros", "ones", "ignore", "smoothed"] = "zeros"
    """Policy for uncertain labels of the classes not named in `uncertainty_per_class`: negative,
    positive, left out of the loss, or a smoothed positive."""
    uncertainty_per_class: dict[str, Literal["zeros", "ones", "ignore", "smoothed"]] = {}
    """Policy for uncertain labels by class."""
    loss: Literal["bce", "focal"] = "bce"
    """Loss of each label: binary cross-entropy, or the focal loss, which counts labels that are
    predicted well for less."""
    focal_gamma: Annotated[float, Field(ge=0)] = 2.0
    """Exponent of the focal loss; 0 makes it the cross-entropy."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of each target that is replaced by one half: 0.1 makes 0 and 1 targets of 0.05 and
    0.95."""
    class_weights: Literal["none", "balanced"] = "none"
    """Weights of the loss. `balanced` weighs positives and negatives of each class to equal sums,
    as the study did."""
    flip: bool = True
    """Random mirroring of half of the images."""
    shift: Fraction = 0.0
    """Largest random translation, as a fraction of height and width."""
    early_stopping: PositiveInt | None = None
    """Epochs without a better mean AUROC on the tune split after which training stops."""
    amp: bool = False
    """Mixed precision (bfloat16 autocast); ignored on a device without it."""
    threads: PositiveInt = 2
    """Number of compute threads. Sums depend on it, so it is configuration, not scheduling."""
    processes: PositiveInt = 1
    """Number of processes that share the training, each with a GPU of its own, if there are any,
    and so many threads. Sums depend on it too."""

    @model_validator(mode="after")
    def _frozen_epochs_are_epochs(self) -> Train:
        if self.freeze_epochs > self.epochs:
            raise ValueError(
                f"freeze_epochs: {self.freeze_epochs} are more than {self.epochs} epochs"
            )
        return self
