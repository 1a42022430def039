"""Specification of a classifier: all but the numbers of its weights, without torch.

A checkpoint carries it, so that the network is built again from the checkpoint alone.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PositiveInt,
    model_validator,
)

from shamsul.size import Size, pair

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's red, green and blue, on a scale of 0 to 1, as `IMAGENET_MEAN` is
their mean."""
ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "leaky_relu", "elu")
"""Names of the functions that may stand between the linear layers of a head."""

Kind = Literal["logits", "probabilities"]
"""Meaning of a network's outputs; probabilities are between 0 and 1."""
Average = Literal["probabilities", "logits"]
"""Quantity of the members of an ensemble that is averaged."""
Join = Literal["max", "mean"]
"""Way to make one output of several."""
Activation = Literal[ACTIVATIONS]  # type: ignore[valid-type]


class Frozen(BaseModel):
    """An immutable set of plain values that JSON can hold."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Presentation(Frozen):
    """The way from a grey radiograph to a network's input.

    A grey value g, 0 to 255, becomes ``((black + g / 255 (white - black)) - mean) / std`` in each
    channel.
    """

    scale: tuple[float, float] = (0.0, 1.0)
    """Values of black and of white before the mean is subtracted."""
    mean: Annotated[tuple[float, ...], Field(min_length=1)] = IMAGENET_MEAN
    """Mean that is subtracted, channel by channel."""
    std: Annotated[tuple[float, ...], Field(min_length=1)] = IMAGENET_STD
    """Standard deviation that is divided by, channel by channel."""

    @model_validator(mode="after")
    def _channels_agree(self) -> Presentation:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} channels and std has {len(self.std)}")
        if not all(deviation > 0 for deviation in self.std):
            raise ValueError("std must be above zero")
        if self.scale[0] == self.scale[1]:
            raise ValueError("scale: black and white are equal")
        return self

    @property
    def channels(self) -> int:
        """Return the number K of channels of the network's input."""
        return len(self.mean)

    def told(self) -> str:
        """Return the presentation in words, for people."""

        def numbers(values: tuple[float, ...]) -> str:
            short = values[:1] if len(set(values)) == 1 else values
            return ", ".join(f"{value:g}" for value in short)

        channels = "1 channel" if self.channels == 1 else f"{self.channels} equal channels"
        return (
            f"{channels}, black {self.scale[0]:g} to white {self.scale[1]:g}, "
            f"less {numbers(self.mean)}, divided by {numbers(self.std)}"
        )


class Outputs(Frozen):
    """The way from a network's M outputs to the logits of C classes."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the M outputs, in their order; an output that means nothing has an empty name."""
    columns: Annotated[tuple[tuple[int, ...], ...], Field(min_length=1)]
    """Numbers of the outputs of each class, C tuples."""
    kind: Kind = "logits"
    """Meaning of the outputs; the logit of a probability p is ``log(p / (1 - p))``."""
    join: Join = "max"
    """Way to join the logits of a class of several outputs."""

    @model_validator(mode="after")
    def _columns_exist(self) -> Outputs:
        for columns in self.columns:
            if not columns or not all(0 <= column < len(self.names) for column in columns):
                raise ValueError(f"columns: {columns} are not among {len(self.names)} outputs")
        return self

    @classmethod
    def of(cls, classes: tuple[str, ...]) -> Outputs:
        """Return the outputs of a network that was made for the classes: one logit for each."""
        return cls(names=classes, columns=tuple((column,) for column in range(len(classes))))

    @property
    def dropped(self) -> list[str]:
        """Return the names of the outputs of no class, for people."""
        used = {column for columns in self.columns for column in columns}
        return [name or "(no name)" for n, name in enumerate(self.names) if n not in used]

    @property
    def plain(self) -> bool:
        """Return whether the outputs are the classes' logits as they are."""
        return self.kind == "logits" and self.columns == tuple(
            (column,) for column in range(len(self.names))
        )


class Head(Frozen):
    """The linear layers that end a network, where they are not the architecture's own."""

    widths: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
    """Outputs of each linear layer; the last are the network's."""
    biases: tuple[bool, ...]
    """True for each layer that has a bias."""
    activation: Activation | None = None
    """Function between the layers; None where there is one layer."""


class Spec(Frozen):
    """A classifier but for its weights."""

    network: str
    """Source and name of the network, as in `model.network`."""
    classes: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the C classes, in the order of the logits."""
    size: Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(pair)]
    """Height H and width W of the images in pixels."""
    presentation: Presentation = Presentation()
    """Way from a grey radiograph to the network's input."""
    outputs: Outputs
    """Way from the network's outputs to the classes' logits."""
    head: Head | None = None
    """Head that takes the place of the architecture's own."""
    options: dict[str, Any] = {}
    """Arguments of the function that builds the network."""
    members: PositiveInt = 1
    """Number of networks whose outputs are averaged."""
    average: Average = "probabilities"
    """Quantity that is averaged, where there are several."""

    @classmethod
    def plain(cls, network: str, classes: tuple[str, ...], size: int | Size) -> Spec:
        """Return the specification of a network that was made for the classes, one logit for each,
        and sees radiographs as ImageNet's images.
        """
        outputs = Outputs.of(tuple(classes))
        return cls(network=network, classes=classes, size=pair(size), outputs=outputs)
