"""Sources of networks: where one comes from, and what its source says of it."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from shamsul.errors import InputError
from shamsul.model.spec import Presentation
from shamsul.size import Size

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Wanted:
    """A network to build.

    Attributes
    ----------
    name : name within the source, such as `resnet18`.
    outputs : number M of outputs.
    channels : number K of channels of its input.
    size : height and width of the images in pixels.
    options : further arguments of the function that builds it.
    """

    name: str
    outputs: int
    channels: int = 3
    size: Size = (224, 224)
    options: Mapping[str, Any] = field(default_factory=dict)


class Source:
    """A source of networks. Subclasses write `build`, and what they know of a network.

    Attributes
    ----------
    name : name before the slash in `model.network`.
    package : Python package that it needs, and how that is installed; empty where it needs none.
    redrawn : False where the weights of a network cannot be drawn anew.
    pickled : True where its weights are published as whole pickled networks, of which the tensors
        alone are read.
    """

    name: ClassVar[str]
    package: ClassVar[tuple[str, str] | None] = None
    redrawn: ClassVar[bool] = True
    pickled: ClassVar[bool] = False

    def build(self, wanted: Wanted) -> nn.Module:
        """Build a network (N, K, H, W) -> (N, M), its weights drawn by torch's random state.

        Raises
        ------
        InputError
            There is no such network, or it cannot be built so.
        """
        raise NotImplementedError

    def presentation(self, name: str) -> Presentation | None:
        """Return how the source shows images to the network, None where it does not say."""
        return None

    def outputs(self, name: str) -> tuple[str, ...] | None:
        """Return the names of a trained network's outputs, None where the source does not say."""
        return None

    def options(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options by which the network is built again without the source's files."""
        return dict(options)

    def imagenet(self, name: str) -> dict[str, Tensor]:
        """Return the weights that the source has of a training on ImageNet.

        Raises
        ------
        InputError
            There are none, or they cannot be had.
        """
        raise InputError(
            f"model.weights: there are no ImageNet weights of {self.name}/{name}; set "
            "`weights: random`, or give a file"
        )

    def trained(self, name: str) -> dict[str, Tensor]:
        """Return the trained weights that come with the network.

        Raises
        ------
        InputError
            There are none, or they cannot be had.
        """
        raise InputError(
            f"model.checkpoint: {self.name}/{name} brings no trained weights with it; give the "
            "path of a file"
        )

    def resized(self, weights: dict[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
        """Return the weights for images of the network's size, positions of tokens interpolated."""
        return weights

    def check(self) -> None:
        """Raise an InputError where the source's package is not installed."""
        if self.package and importlib.util.find_spec(self.package[0]) is None:
            raise InputError(
                f"model.network: {self.name}/... needs the package {self.package[0]}; install it "
                f"with `{self.package[1]}`"
            )
